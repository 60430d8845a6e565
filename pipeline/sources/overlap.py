"""Which texts overlap with held-out ones, every pair compared: what validation holds against ingest's own search."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from pipeline.params import DecontaminationParams
from pipeline.sources.characters import Characters, letters
from pipeline.sources.containment import contained
from pipeline.sources.similarity import flat_shingles

_PAIRS_AT_ONCE = 20_000_000


class HeldOut:
    """Held-out texts, made ready once, so that others are compared with them a piece at a time."""

    def __init__(self, texts: Sequence[str], params: DecontaminationParams) -> None:
        self._params, self._count = params, len(texts)
        hashes, offsets = flat_shingles(texts, params.shingle_words)
        self._sizes, self._vocabulary = np.diff(offsets), np.unique(hashes)
        self._by_shingle = self._of_vocabulary(hashes, offsets).T.tocsr()
        self._letters = letters(texts)

    def overlapping(self, texts: Sequence[str]) -> np.ndarray:
        """Return which texts overlap with a held-out one, bool (texts,).

        They do where their shingles have a Jaccard similarity of at least `params.similarity`, or where the letters of
        one stand inside the other's. Every pair that shares a shingle is counted out: MinHash, which ingest searches
        with, may miss some at the threshold.
        """
        if not len(texts) or not self._count:
            return np.zeros(len(texts), dtype=bool)
        return self._similar(texts) | self._contained(texts)

    def _similar(self, texts: Sequence[str]) -> np.ndarray:
        hashes, offsets = flat_shingles(texts, self._params.shingle_words)
        sizes, matrix = np.diff(offsets), self._of_vocabulary(hashes, offsets)
        similar = np.zeros(len(texts), dtype=bool)
        step = max(1, _PAIRS_AT_ONCE // self._count)
        for start in range(0, len(texts), step):
            shared = (matrix[start : min(start + step, len(texts))] @ self._by_shingle).tocoo()
            union = sizes[start + shared.row] + self._sizes[shared.col] - shared.data
            similar[start + shared.row[shared.data / union >= self._params.similarity]] = True
        return similar

    def _of_vocabulary(self, hashes: np.ndarray, offsets: np.ndarray) -> csr_array:
        """Return which of the held-out texts' shingles stand in which text, int32 (texts, vocabulary), sparse."""
        width = len(self._vocabulary)
        places = np.searchsorted(self._vocabulary, hashes)
        known = np.zeros(len(hashes), dtype=bool)
        within = places < width
        known[within] = self._vocabulary[places[within]] == hashes[within]
        rows = np.concatenate([[0], np.cumsum(known)])[offsets]
        return csr_array((np.ones(known.sum(), np.int32), places[known], rows), shape=(len(offsets) - 1, width))

    def _contained(self, texts: Sequence[str]) -> np.ndarray:
        flat = _joined(letters(texts), self._letters)
        own, references = np.arange(len(texts)), len(texts) + np.arange(self._count)
        around = contained(flat, references, own, self._params.min_letters)[:, 1]
        inside = contained(flat, own, references, self._params.min_letters)[:, 0]
        return np.isin(own, np.concatenate([around, inside]))


def overlapping(texts: Sequence[str], held_out: Sequence[str], params: DecontaminationParams) -> np.ndarray:
    """Return which texts overlap with a held-out one, bool (texts,), as `HeldOut` says."""
    return HeldOut(held_out, params).overlapping(texts)


def _joined(first: Characters, second: Characters) -> Characters:
    offsets = np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]])
    return Characters(np.concatenate([first.codes, second.codes]), offsets)
