"""Which texts stand inside which others, by their letters: a window of letters is hashed at every position at once.

Rabin-Karp (Karp & Rabin 1987) with wrapping 64-bit arithmetic; each match is verified, so none is by chance.
"""

import numpy as np

from pipeline.sources.characters import Characters, batches
from pipeline.sources.hashes import KnownHashes, RunHashes


def contained(letters: Characters, needles: np.ndarray, haystacks: np.ndarray, window: int) -> np.ndarray:
    """Return the pairs (needle, haystack), int64 (pairs, 2), where the needle's letters stand inside the haystack's.

    `needles` and `haystacks` are indices into `letters`. A needle of fewer than `window` letters matches nothing.
    """
    index, found = Needles(letters, needles, window), [np.zeros((0, 2), np.int64)]
    for batch in batches(np.diff(letters.offsets)[haystacks]):
        pairs = index.inside(_chosen(letters, haystacks[batch]))
        found.append(np.stack([pairs[:, 0], haystacks[batch][pairs[:, 1]]], axis=1))
    return np.concatenate(found)


def _chosen(letters: Characters, which: np.ndarray) -> Characters:
    codes, offsets = letters
    lengths = offsets[which + 1] - offsets[which]
    return Characters(
        np.concatenate([codes[offsets[i] : offsets[i + 1]] for i in which]), np.concatenate([[0], np.cumsum(lengths)])
    )


class Needles:
    """Texts that are looked for in others, by the hashes of each one's first and last window, sorted by the first."""

    def __init__(self, letters: Characters, needles: np.ndarray, window: int) -> None:
        needles = needles[np.diff(letters.offsets)[needles] >= window]
        starts, ends = letters.offsets[needles], letters.offsets[needles + 1]
        first, last = window_hashes(letters, starts, window), window_hashes(letters, ends - window, window)
        order = np.argsort(first, kind="stable")
        self._letters, self._window = letters, window
        self._needles, self._lengths, self._last = needles[order], (ends - starts)[order], last[order]
        distinct, self._begin, self._count = np.unique(first[order], return_index=True, return_counts=True)
        self._first = KnownHashes(distinct)

    def inside(self, haystacks: Characters) -> np.ndarray:
        """Return the pairs (needle, haystack), int64 (pairs, 2), sorted; the haystacks are searched as one array."""
        flat, ends = haystacks.codes, haystacks.offsets[1:]
        hashes = RunHashes(flat).of_windows(self._window)
        positions, places = self._first.find(hashes)
        low, count = self._begin[places], self._count[places]
        # a hash can belong to several needles with one beginning: one candidate for each of them
        which = np.repeat(low, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        positions = np.repeat(positions, count)
        documents = np.searchsorted(ends, positions, side="right")
        fits = positions + self._lengths[which] <= ends[documents]
        positions, which, documents = positions[fits], which[fits], documents[fits]
        same_end = hashes[positions + self._lengths[which] - self._window] == self._last[which]
        pairs = set()
        for position, k, document in zip(positions[same_end], which[same_end], documents[same_end], strict=True):
            pair = (int(self._needles[k]), int(document))
            if pair not in pairs and self._stands_at(k, flat, position):
                pairs.add(pair)
        return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)

    def _stands_at(self, k: int, flat: np.ndarray, position: int) -> bool:
        start = self._letters.offsets[self._needles[k]]
        length = self._lengths[k]
        return np.array_equal(self._letters.codes[start : start + length], flat[position : position + length])


def window_hashes(letters: Characters, starts: np.ndarray, window: int) -> np.ndarray:
    """Return the hash of the window of letters that begins at each of `starts`, uint64 (starts,)."""
    codes = letters.codes[(starts[:, None] + np.arange(window)).ravel()]
    begins = np.arange(0, len(codes), window)
    return RunHashes(codes).of(begins, begins + window)
