"""Which texts overlap with held-out ones, every pair compared: what validation holds against ingest's own search."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from pipeline.params import DecontaminationParams
from pipeline.sources.characters import Characters, batches, letters, letters_of, lower_cased
from pipeline.sources.containment import Contained
from pipeline.sources.hashes import KnownHashes
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
        self._letters = Contained(letters(texts), params.min_letters)

    def overlapping(self, texts: Sequence[str]) -> np.ndarray:
        """Return which texts overlap with a held-out one, bool (texts,).

        They do where their shingles have a Jaccard similarity of at least `params.similarity`, or where the letters of
        one stand inside the other's. Every pair that may is counted out: MinHash, which ingest searches with, may miss
        some at the threshold.
        """
        if not self._count:
            return np.zeros(len(texts), dtype=bool)
        overlapping = np.zeros(len(texts), dtype=bool)
        for batch in batches(np.array([len(text) for text in texts])):
            lowered = lower_cased(texts[batch])
            own = letters_of(lowered)
            overlapping[batch] = self._similar(lowered) | self._letters.around(own) | self._letters.inside(own)
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


def _indicators(places: np.ndarray, offsets: np.ndarray, width: int) -> csr_array:
    """Return which shingle of a vocabulary stands in which text: 1 or 0, int32 (texts, width), sparse."""
    return csr_array((np.ones(len(places), np.int32), places, offsets), shape=(len(offsets) - 1, width))


def overlapping(texts: Sequence[str], held_out: Sequence[str], params: DecontaminationParams) -> np.ndarray:
    """Return which texts overlap with a held-out one, bool (texts,), as `HeldOut` says."""
    return HeldOut(held_out, params).overlapping(texts)
