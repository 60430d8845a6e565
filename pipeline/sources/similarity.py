"""How alike two texts are: the Jaccard similarity of their shingles, the runs of words that stand in them.

Broder 1997, "On the resemblance and containment of documents".
"""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from pipeline.params import DecontaminationParams
from pipeline.sources.characters import Characters, batches, kinds, lower_cased
from pipeline.sources.hashes import BASE, RunHashes

_MIX = np.uint64(BASE)
_PAIRS_AT_ONCE = 20_000


def similar(texts: Sequence[str], pairs: np.ndarray, params: DecontaminationParams) -> np.ndarray:
    """Return which `pairs` of texts, int64 (pairs, 2), have shingles of a Jaccard similarity of at least
    `params.similarity`, bool (pairs,)."""
    matrix = indicator_matrix(shingles(texts, params.shingle_words))
    steps = range(0, len(pairs), _PAIRS_AT_ONCE)
    enough = [_jaccard(matrix, pairs[start : start + _PAIRS_AT_ONCE]) >= params.similarity for start in steps]
    return np.concatenate([np.zeros(0, dtype=bool), *enough])


def indicator_matrix(sets: Sequence[np.ndarray]) -> csr_array:
    """Return which shingle stands in which text: 1 or 0, int32 (texts, distinct shingles of them all), sparse."""
    lengths = np.array([len(values) for values in sets], dtype=np.int64)
    _, columns = np.unique(np.concatenate([*sets, np.zeros(0, np.uint32)]), return_inverse=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return csr_array((np.ones(len(columns), np.int32), columns, offsets), shape=(len(sets), len(columns)))


def _jaccard(matrix: csr_array, pairs: np.ndarray) -> np.ndarray:
    left, right = matrix[pairs[:, 0]], matrix[pairs[:, 1]]
    shared = left.multiply(right).sum(axis=1)
    return shared / (left.sum(axis=1) + right.sum(axis=1) - shared)


def shingles(texts: Sequence[str], size: int) -> list[np.ndarray]:
    """Return for each text the sorted distinct hashes (uint32) of its runs of `size` words.

    A word is a run of letters and digits, lower-cased; an ideograph is a word by itself. A text of fewer than `size`
    words is one shingle, a text without words has none.
    """
    hashes, offsets = flat_shingles(texts, size)
    return [hashes[start:end] for start, end in itertools.pairwise(offsets.tolist())]


def flat_shingles(texts: Sequence[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what `shingles` returns as one array: text i has hashes[offsets[i]:offsets[i + 1]]; int64 (texts + 1,)."""
    found, counts = [np.zeros(0, np.uint32)], [np.zeros(1, np.int64)]
    for batch in batches(np.array([len(text) for text in texts])):
        hashes, offsets = lowered_shingles(lower_cased(texts[batch]), size)
        found.append(hashes)
        counts.append(np.diff(offsets))
    return np.concatenate(found), np.cumsum(np.concatenate(counts))


def lowered_shingles(lowered: Characters, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what `flat_shingles` returns, of texts that are in memory as lower-cased characters."""
    words, offsets = _word_hashes(lowered)
    of_text = np.diff(offsets)
    padded = np.concatenate([words, np.zeros(size, np.uint64)])
    text = np.repeat(np.arange(len(of_text)), of_text)
    place, left = np.arange(len(words)) - offsets[text], offsets[text + 1] - np.arange(len(words))
    hashes = np.zeros(len(words), dtype=np.uint64)
    for j in range(size):
        hashes = (hashes + np.where(j < left, padded[j : j + len(words)], 0)) * _MIX
        hashes ^= hashes >> np.uint64(29)
    begins = (left >= size) | (place == 0)  # a whole run of words, or all that a short text has
    keys = (text[begins].astype(np.uint64) << np.uint64(32)) | (hashes[begins] >> np.uint64(32))
    keys.sort()  # np.unique hashes first, which takes three times as long
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]]
    counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(of_text))
    return keys.astype(np.uint32), np.concatenate([[0], np.cumsum(counts)])


def _word_hashes(lowered: Characters) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of each word (uint64) and where each text's words begin (int64, texts + 1)."""
    codes, offsets = lowered
    kind = kinds(codes, _kind_of)
    edge = np.zeros(len(codes) + 1, dtype=bool)  # whether a word cannot go on from the character before this one
    edge[1:-1] = (kind[1:] != _IN_WORD) | (kind[:-1] != _IN_WORD)
    edge[offsets] = True
    starts, ends = np.flatnonzero(edge[:-1] & (kind != _BETWEEN)), np.flatnonzero(edge[1:] & (kind != _BETWEEN)) + 1
    hashes = RunHashes(codes + np.uint64(1)).of(starts, ends)
    return hashes ^ (hashes >> np.uint64(31)), np.searchsorted(starts, offsets)


_BETWEEN, _IN_WORD, _WORD = range(3)  # of characters: outside of words, one of a word's, a word by itself


def _kind_of(character: str) -> int:
    if not character.isalnum():
        return _BETWEEN
    return _WORD if _is_ideograph(character) else _IN_WORD


def _is_ideograph(character: str) -> bool:
    return "\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"
