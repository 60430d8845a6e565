"""Which texts overlap with held-out ones, every pair compared: what validation holds against ingest's own search."""

from collections.abc import Sequence

import numpy as np

from pipeline.params import DecontaminationParams
from pipeline.sources.characters import letters
from pipeline.sources.containment import contained
from pipeline.sources.similarity import indicator_matrix, shingles

_PAIRS_AT_ONCE = 20_000_000


def overlapping(texts: Sequence[str], held_out: Sequence[str], params: DecontaminationParams) -> np.ndarray:
    """Return which texts overlap with a held-out one, bool (texts,).

    They do where their shingles have a Jaccard similarity of at least `params.similarity`, or where the letters of one
    stand inside the other's. Every pair that shares a shingle is counted out: MinHash, which ingest searches with, may
    miss some at the threshold.
    """
    if not len(texts) or not len(held_out):
        return np.zeros(len(texts), dtype=bool)
    return _similar(texts, held_out, params) | _contained(texts, held_out, params.min_letters)


def _similar(texts: Sequence[str], held_out: Sequence[str], params: DecontaminationParams) -> np.ndarray:
    sets = shingles([*texts, *held_out], params.shingle_words)
    sizes = np.array([len(item) for item in sets])
    matrix = indicator_matrix(sets)
    references = matrix[len(texts) :].T.tocsr()
    similar = np.zeros(len(texts), dtype=bool)
    step = max(1, _PAIRS_AT_ONCE // len(held_out))
    for start in range(0, len(texts), step):
        shared = (matrix[start : min(start + step, len(texts))] @ references).tocoo()
        union = sizes[start + shared.row] + sizes[len(texts) + shared.col] - shared.data
        similar[start + shared.row[shared.data / union >= params.similarity]] = True
    return similar


def _contained(texts: Sequence[str], held_out: Sequence[str], min_letters: int) -> np.ndarray:
    flat = letters([*texts, *held_out])
    indices = np.arange(len(texts) + len(held_out))
    own, references = indices[: len(texts)], indices[len(texts) :]
    around = contained(flat, references, own, min_letters)[:, 1]
    inside = contained(flat, own, references, min_letters)[:, 0]
    return np.isin(own, np.concatenate([around, inside]))
