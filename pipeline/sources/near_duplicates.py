"""Which texts are nearly the same: candidates by MinHash LSH, each verified on its shingles.

Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec, Rajaraman & Ullman, "Mining of
Massive Datasets", chapter 3. What LSH misses, some of the pairs right at the threshold, is missed.
"""

import functools
from collections.abc import Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from pipeline.params import DecontaminationParams
from pipeline.sources.hashes import BASE, KnownHashes, RunHashes, ranges
from pipeline.sources.similarity import flat_shingles, similar

_LSH_SHARE = 0.85


@functools.cache
def band_shape(params: DecontaminationParams) -> tuple[int, int]:
    """Return how many bands a MinHash has, and how many of its values are in each."""
    # tuned to a lower threshold, at which it hardly misses a pair of the wanted one; too many are verified away
    index = MinHashLSH(threshold=_LSH_SHARE * params.similarity, num_perm=params.permutations, weights=(0.1, 0.9))
    return index.b, index.r


def sketches(params: DecontaminationParams, shape: tuple[int, int], texts: Sequence[str]) -> np.ndarray:
    """Return of each text a hash of its shingles, 0 where it has none, and one of each band: uint64 (texts, 1 + bands).

    Texts with the same hash of a band are candidates. `shape` is what `band_shape` says.
    """
    bands, width = shape
    hashes, offsets = flat_shingles(texts, params.shingle_words)
    blank = MinHash(num_perm=params.permutations, hashfunc=int)  # the shingles are hashes already
    values = np.zeros((len(texts), params.permutations), dtype=np.uint64)
    for i, row in enumerate(values):
        sketch = blank.copy()
        sketch.update_batch(hashes[offsets[i] : offsets[i + 1]].tolist())
        row[:] = sketch.hashvalues
    starts = (np.arange(len(texts)) * params.permutations)[:, None] + np.arange(bands) * width
    of_bands = RunHashes(values.ravel()).of(starts, starts + width)
    of_texts = RunHashes(hashes.astype(np.uint64) + np.uint64(1)).of(offsets[:-1], offsets[1:])
    # the first bits of a hash of one number would be 0, and by them hashes are told apart
    return np.concatenate([of_texts[:, None], of_bands], axis=1) * np.uint64(BASE)


class NearDuplicates:
    """Texts that others are compared with, whose word shingles have a Jaccard similarity of at least `similarity`."""

    def __init__(self, texts: Sequence[str], own: np.ndarray, params: DecontaminationParams) -> None:
        """Keep `texts`, of which `own` are the sketches."""
        self._params = params
        shingles, first = np.unique(own[:, 0], return_index=True)
        first = first[shingles != 0]  # a thousand copies are one text, and without words it is near to none
        self._texts = [texts[i] for i in first]
        keys = _keys(own[first])
        order = np.argsort(keys, kind="stable")
        self._known, self._owners = KnownHashes(keys[order]), order // (own.shape[1] - 1)

    def near(self, texts: Sequence[str], own: np.ndarray) -> np.ndarray:
        """Return which other texts, of which `own` are the sketches, are nearly the same as one of these; bool."""
        shingles, first, copies = np.unique(own[:, 0], return_index=True, return_inverse=True)
        which, places = self._known.find(_keys(own[first]))
        counts = self._known.ends(places) - places
        left, right = np.repeat(which // (own.shape[1] - 1), counts), self._owners[ranges(places, counts)]
        pairs = np.unique(np.stack([left, right], axis=1)[shingles[left] != 0], axis=0)
        involved, positions = np.unique(pairs + np.array([0, len(first)]), return_inverse=True)
        both = [texts[first[i]] if i < len(first) else self._texts[i - len(first)] for i in involved.tolist()]
        found = similar(both, positions.reshape(-1, 2), self._params)
        return np.isin(np.arange(len(first)), pairs[found, 0])[copies]


def _keys(own: np.ndarray) -> np.ndarray:
    """Return the hashes of all bands behind each other, text by text, so that no two bands share one; uint64."""
    return (own[:, 1:] + np.arange(own.shape[1] - 1, dtype=np.uint64) * np.uint64(BASE)).ravel()
