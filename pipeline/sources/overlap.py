"""Which texts overlap with held-out ones, every pair compared: what validation holds against ingest's own search."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from pipeline.params import DecontaminationParams
from pipeline.sources.characters import Characters, batches, letters, letters_of, lower_cased
from pipeline.sources.containment import Needles, window_hashes
from pipeline.sources.hashes import KnownHashes, RunHashes
from pipeline.sources.similarity import flat_shingles, lowered_shingles

_PAIRS_AT_ONCE = 20_000_000


class HeldOut:
    """Held-out texts, made ready once, so that others are compared with them a piece at a time."""

    def __init__(self, texts: Sequence[str], params: DecontaminationParams) -> None:
        self._params, self._count = params, len(texts)
        hashes, offsets = flat_shingles(texts, params.shingle_words)
        vocabulary, places = np.unique(hashes, return_inverse=True)
        self._vocabulary, self._sizes = KnownHashes(vocabulary), np.diff(offsets)
        self._by_shingle = _indicators(places, offsets, len(vocabulary)).T.tocsr()
        self._letters = letters(texts)
        self._needles = Needles(self._letters, np.arange(len(texts)), params.min_letters)
        self._windows = KnownHashes(np.sort(RunHashes(self._letters.codes).of_windows(params.min_letters)))

    def overlapping(self, texts: Sequence[str]) -> np.ndarray:
        """Return which texts overlap with a held-out one, bool (texts,).

        They do where their shingles have a Jaccard similarity of at least `params.similarity`, or where the letters of
        one stand inside the other's. Every pair that may is counted out: MinHash, which ingest searches with, may miss
        some at the threshold.
        """
        if not self._count:
            return np.zeros(len(texts), dtype=bool)
        overlapping, perhaps_inside = np.zeros(len(texts), dtype=bool), np.zeros(len(texts), dtype=bool)
        for batch in batches(np.array([len(text) for text in texts])):
            lowered = lower_cased(texts[batch])
            own = letters_of(lowered)
            overlapping[batch] = self._similar(lowered) | self._around(own)
            perhaps_inside[batch] = self._begin_and_end_inside(own)
        overlapping[perhaps_inside] |= self._inside([texts[i] for i in np.flatnonzero(perhaps_inside).tolist()])
        return overlapping

    def _similar(self, texts: Characters) -> np.ndarray:
        """Return which texts share enough shingles with a held-out one, bool (texts,)."""
        hashes, offsets = lowered_shingles(texts, self._params.shingle_words)
        sizes = np.diff(offsets)
        # what it shares is in the vocabulary, and the union is no smaller than the text: few texts come that far
        at_most = np.diff(np.searchsorted(np.flatnonzero(self._vocabulary.may_hold(hashes)), offsets))
        candidate = at_most / np.maximum(sizes, 1) >= self._params.similarity
        known, places = self._vocabulary.find(hashes[np.repeat(candidate, sizes)])
        ends = np.searchsorted(known, np.cumsum(sizes[candidate]))
        matrix = _indicators(places, np.concatenate([[0], ends]), len(self._vocabulary))
        candidates = np.flatnonzero(candidate)
        similar = np.zeros(len(sizes), dtype=bool)
        step = max(1, _PAIRS_AT_ONCE // self._count)
        for start in range(0, len(candidates), step):
            shared = (matrix[start : start + step] @ self._by_shingle).tocoo()
            own = candidates[start + shared.row]
            union = sizes[own] + self._sizes[shared.col] - shared.data
            similar[own[shared.data / union >= self._params.similarity]] = True
        return similar

    def _around(self, own: Characters) -> np.ndarray:
        """Return which texts have a held-out one inside them, bool (texts,)."""
        return np.isin(np.arange(len(own.offsets) - 1), self._needles.inside(own)[:, 1])

    def _begin_and_end_inside(self, own: Characters) -> np.ndarray:
        """Return which texts begin and end with letters that stand in held-out ones, as those inside one do."""
        window = self._params.min_letters
        which = np.flatnonzero(np.diff(own.offsets) >= window)
        for starts in (own.offsets[:-1], own.offsets[1:] - window):
            found, _ = self._windows.find(window_hashes(own, starts[which], window))
            which = which[found]
        return np.isin(np.arange(len(own.offsets) - 1), which)

    def _inside(self, texts: Sequence[str]) -> np.ndarray:
        """Return which texts stand inside a held-out one, bool (texts,)."""
        everyone = np.arange(len(texts))
        needles = Needles(letters(texts), everyone, self._params.min_letters)
        return np.isin(everyone, needles.inside(self._letters)[:, 0])


def _indicators(places: np.ndarray, offsets: np.ndarray, width: int) -> csr_array:
    """Return which shingle of a vocabulary stands in which text: 1 or 0, int32 (texts, width), sparse."""
    return csr_array((np.ones(len(places), np.int32), places, offsets), shape=(len(offsets) - 1, width))


def overlapping(texts: Sequence[str], held_out: Sequence[str], params: DecontaminationParams) -> np.ndarray:
    """Return which texts overlap with a held-out one, bool (texts,), as `HeldOut` says."""
    return HeldOut(held_out, params).overlapping(texts)
