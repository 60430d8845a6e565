"""Hashes of runs of numbers (characters of a word, a window of letters), and sets of hashes that are asked for many."""

import functools

import numpy as np

BASE = 0x9E3779B97F4A7C15  # odd, so that powers of it never vanish modulo 2**64
_INVERSE = pow(BASE, -1, 1 << 64)


class RunHashes:
    """The hash of any run of some numbers: sum_j numbers[start + j] * BASE**j modulo 2**64.

    A polynomial hash as Karp & Rabin's (1987). The difference of two prefix sums of numbers[i] * BASE**i is a run's
    hash times BASE**start, and an odd BASE has an inverse modulo 2**64.
    """

    def __init__(self, numbers: np.ndarray) -> None:
        self._sums = np.zeros(len(numbers) + 1, dtype=np.uint64)
        np.cumsum(numbers * _powers(BASE, len(numbers)), out=self._sums[1:])

    def of(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return the hashes of the runs from `starts` up to `ends`, uint64."""
        return (self._sums[ends] - self._sums[starts]) * _powers(_INVERSE, len(self._sums))[starts]

    def of_windows(self, length: int) -> np.ndarray:
        """Return the hash of the run of `length` numbers that begins at each place, uint64."""
        count = max(0, len(self._sums) - length)
        hashes = self._sums[length:] - self._sums[:count]
        hashes *= _powers(_INVERSE, count)
        return hashes


def _powers(base: int, count: int) -> np.ndarray:
    return _many_powers(base, 1 << count.bit_length())[:count]


@functools.lru_cache(maxsize=4)
def _many_powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers)


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the numbers start, start + 1, … of each range behind each other, `counts` of them; int64."""
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())


class KnownHashes:
    """A set of hashes; a table of their first bits turns away nearly all others before the exact look-up."""

    def __init__(self, hashes: np.ndarray) -> None:
        """Keep `hashes`: sorted, of an unsigned type; one may stand several times."""
        bits = min(max(16, len(hashes).bit_length() + 6), 24)
        self._hashes, self._shift = hashes, np.iinfo(hashes.dtype).bits - bits
        self._table = np.zeros(1 << bits, dtype=bool)
        self._table[hashes >> self._shift] = True

    def __len__(self) -> int:
        return len(self._hashes)

    def may_hold(self, hashes: np.ndarray) -> np.ndarray:
        """Return which of `hashes` may be in the set, bool: all that are, and hardly any others."""
        return self._table[hashes >> self._shift]

    def find(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which of `hashes` are in the set, as indices, and the first place of each of these among the set's."""
        which = np.flatnonzero(self.may_hold(hashes))
        places = np.searchsorted(self._hashes, hashes[which])
        known = self._hashes[np.minimum(places, len(self) - 1)] == hashes[which]
        return which[known], places[known]

    def ends(self, places: np.ndarray) -> np.ndarray:
        """Return for first places that `find` returned the places behind the last equal hash."""
        return np.searchsorted(self._hashes, self._hashes[places], side="right")
