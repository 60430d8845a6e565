"""Which texts stand inside which others, by their letters: a window of letters is hashed at every position at once.

Rabin-Karp (Karp & Rabin 1987) with wrapping 64-bit arithmetic; each match is verified, so none is by chance.
"""

import numpy as np

from pipeline.files import InputError
from pipeline.sources.characters import Characters, batches
from pipeline.sources.hashes import KnownHashes, RunHashes, ranges

_HALF = np.uint64(32)
MOST_LETTERS = 2**32


class Contained:
    """Texts that others are compared with by their letters: which others stand inside one, or have one inside them."""

    def __init__(self, texts: Characters, window: int) -> None:
        """Keep the letters of `texts`; of fewer than `window` letters nothing is said, as they may stand by chance.

        Raises InputError for more than MOST_LETTERS.
        """
        if len(texts.codes) > MOST_LETTERS:
            raise InputError(f"{len(texts.codes):,} letters in held-out texts, expected at most {MOST_LETTERS:,}")
        self._texts, self._window = texts, window
        self._needles = Needles(texts, np.arange(len(texts.offsets) - 1), window)
        # each window's hash in the upper half of a number and its place in the lower one: sorted, without a copy
        entries = np.zeros(len(texts.codes), dtype=np.uint64)
        count = 0
        for batch in batches(np.diff(texts.offsets)):  # windows over the end of a text are in no text
            first, end = texts.offsets[batch.start], texts.offsets[batch.stop]
            found = RunHashes(texts.codes[first:end]).of_windows(window)
            places = np.arange(first, first + len(found), dtype=np.uint64)
            entries[count : count + len(found)] = found >> _HALF << _HALF | places
            count += len(found)
        entries = entries[:count]
        entries.sort()
        self._known, self._places = KnownHashes((entries >> _HALF).astype(np.uint32)), entries.astype(np.uint32)

    def around(self, others: Characters) -> np.ndarray:
        """Return which other texts have one of these inside them, bool (others,)."""
        return np.isin(np.arange(len(others.offsets) - 1), self._needles.inside(others)[:, 1])

    def inside(self, others: Characters) -> np.ndarray:
        """Return which other texts stand inside one of these, bool (others,)."""
        starts, ends = others.offsets[:-1], others.offsets[1:]
        which = np.flatnonzero(ends - starts >= self._window)
        last = window_hashes(others, ends[which] - self._window, self._window)
        ends_here, _ = self._known.find((last >> _HALF).astype(np.uint32))
        which, last = which[ends_here], last[ends_here]
        first = window_hashes(others, starts[which], self._window)
        begins_here, places = self._known.find((first >> _HALF).astype(np.uint32))
        until = self._known.ends(places)
        found = np.zeros(len(starts), dtype=bool)
        # few texts come that far: both their first and their last window stand somewhere
        for i, hash_of_end, place, end in zip(which[begins_here], last[begins_here], places, until, strict=True):
            standing = self._places[place:end].astype(np.int64)
            found[i] = self._stands_at_one(standing, others.codes[starts[i] : ends[i]], hash_of_end)
        return found

    def _stands_at_one(self, places: np.ndarray, own: np.ndarray, hash_of_end: np.uint64) -> bool:
        """Return whether the letters `own`, whose last window has the given hash, stand at one of some places."""
        text_ends = self._texts.offsets[np.searchsorted(self._texts.offsets, places, side="right")]
        places = places[places + len(own) <= text_ends]
        places = places[window_hashes(self._texts, places + len(own) - self._window, self._window) == hash_of_end]
        return any(np.array_equal(self._texts.codes[start : start + len(own)], own) for start in places.tolist())


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
        which = ranges(low, count)
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
