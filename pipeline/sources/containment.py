"""Which texts stand inside which others, by their letters: a window of letters is hashed at every position at once.

Rabin-Karp (Karp & Rabin 1987) with wrapping 64-bit arithmetic; each match is verified, so none is by chance.
"""

import numpy as np

from pipeline.sources.characters import Characters, batches

_BASE = 0x9E3779B97F4A7C15  # odd, so that powers of it never vanish modulo 2**64
_TABLE_BITS = 20


def contained(letters: Characters, needles: np.ndarray, haystacks: np.ndarray, window: int) -> np.ndarray:
    """Return the pairs (needle, haystack), int64 (pairs, 2), where the needle's letters stand inside the haystack's.

    `needles` and `haystacks` are indices into `letters`. A needle of fewer than `window` letters matches nothing.
    """
    lengths = np.diff(letters.offsets)
    needles = needles[lengths[needles] >= window]
    found: list[tuple[int, int]] = []
    if len(needles):
        index = _Needles(letters, needles, window)
        for batch in batches(lengths[haystacks]):
            found += index.matches(haystacks[batch])
    return np.array(found, dtype=np.int64).reshape(-1, 2)


class _Needles:
    """The hashes of each needle's first and last window, sorted by the first."""

    def __init__(self, letters: Characters, needles: np.ndarray, window: int) -> None:
        self.letters, self.window = letters, window
        first, last = (_needle_hashes(letters, needles, window, end) for end in (False, True))
        order = np.argsort(first, kind="stable")
        self.needles, self.first, self.last = needles[order], first[order], last[order]
        self.lengths = np.diff(letters.offsets)[self.needles]
        self.table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self.table[self.first >> np.uint64(64 - _TABLE_BITS)] = True

    def matches(self, haystacks: np.ndarray) -> list[tuple[int, int]]:
        """Return the pairs for some haystacks, searched as one array."""
        codes, offsets = self.letters
        flat = np.concatenate([codes[offsets[i] : offsets[i + 1]] for i in haystacks])
        ends = np.cumsum(offsets[haystacks + 1] - offsets[haystacks])
        hashes = _window_hashes(flat, self.window)
        # the small table turns away nearly every position before the exact look-up
        positions = np.flatnonzero(self.table[hashes >> np.uint64(64 - _TABLE_BITS)])
        low = np.searchsorted(self.first, hashes[positions], side="left")
        count = np.searchsorted(self.first, hashes[positions], side="right") - low
        positions, low, count = positions[count > 0], low[count > 0], count[count > 0]
        # a hash can belong to several needles with one beginning: one candidate for each of them
        which = np.repeat(low, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        positions = np.repeat(positions, count)
        documents = np.searchsorted(ends, positions, side="right")
        fits = positions + self.lengths[which] <= ends[documents]
        positions, which, documents = positions[fits], which[fits], documents[fits]
        same_end = hashes[positions + self.lengths[which] - self.window] == self.last[which]
        pairs = set()
        for position, k, document in zip(positions[same_end], which[same_end], documents[same_end], strict=True):
            pair = (int(self.needles[k]), int(haystacks[document]))
            if pair not in pairs and self._stands_at(k, flat, position):
                pairs.add(pair)
        return sorted(pairs)

    def _stands_at(self, k: int, flat: np.ndarray, position: int) -> bool:
        start = self.letters.offsets[self.needles[k]]
        length = self.lengths[k]
        return np.array_equal(self.letters.codes[start : start + length], flat[position : position + length])


def _needle_hashes(letters: Characters, needles: np.ndarray, window: int, end: bool) -> np.ndarray:
    """Return the hash of the first (or last) window of each needle, uint64 (needles,)."""
    starts = letters.offsets[needles + 1] - window if end else letters.offsets[needles]
    codes = letters.codes[(starts[:, None] + np.arange(window)).ravel()]
    return _window_hashes(codes, window)[::window]


def _window_hashes(codes: np.ndarray, window: int) -> np.ndarray:
    """Return sum_j codes[i + j] * BASE**j modulo 2**64 for each window start i; uint64 (len(codes) - window + 1,).

    By doubling: windows of 1, 2, 4, ... letters add up to the wanted one.
    """
    count = len(codes) - window + 1
    if count <= 0:
        return np.zeros(0, dtype=np.uint64)
    power_of_two = codes.astype(np.uint64)
    result = np.zeros(count, dtype=np.uint64)
    done, size = 0, 1
    while done < window:
        if window & size:
            result += power_of_two[done : done + count] * np.uint64(pow(_BASE, done, 1 << 64))
            done += size
        if done < window:
            step = np.uint64(pow(_BASE, size, 1 << 64))
            power_of_two = power_of_two[:-size] + power_of_two[size:] * step
            size *= 2
    return result
