"""Word embeddings before the first step of training: which tokens stand near each other in the corpus, factorised."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix

WINDOW = 10  # tokens on either side: wide enough for the topic and the mood of a text, not only for its grammar
SMOOTHING = 0.75
SCALE = 0.04  # standard deviation of all entries
BLOCK = 2**22  # tokens counted at once: memory stays bounded however large the corpus


def cooccurrence_embeddings(
    input_ids: np.ndarray, special: np.ndarray, *, vocabulary_size: int, width: int, seed: int
) -> np.ndarray:
    """Return embeddings, float32 (vocabulary_size, width), of the tokens in `input_ids`; tokens never seen have zeros.

    input_ids: packed sequences, (rows, length). special: ids that are no text and count as no neighbours.
    The truncated SVD U S Vᵀ of the positive pointwise mutual information of tokens at most WINDOW apart, as U S^½, the
    contexts' shares to the power of SMOOTHING. Source: Levy, Goldberg & Dagan 2015, "Improving Distributional
    Similarity with Lessons Learned from Word Embeddings", sections 2 and 3.
    """
    from sklearn.utils.extmath import randomized_svd

    information = _positive_information(_counts(input_ids, special, vocabulary_size))
    components = min(width, vocabulary_size)
    left, singular, _ = randomized_svd(information, components, n_iter=4, random_state=seed)
    embeddings = np.zeros((vocabulary_size, width), dtype=np.float32)
    embeddings[:, :components] = left * np.sqrt(singular)
    seen = np.diff(information.indptr) > 0
    embeddings[~seen] = 0.0  # of which rounding leaves something
    embeddings[seen] -= embeddings[seen].mean(axis=0)
    embeddings[seen] *= SCALE / embeddings[seen].std()
    return embeddings


def _counts(input_ids: np.ndarray, special: np.ndarray, size: int) -> csr_matrix:
    """Return how often two tokens stand at most WINDOW apart in a sequence, (size, size), symmetric."""
    counts = csr_matrix((size, size), dtype=np.float64)
    for first, second in _neighbours(input_ids):
        both = ~(np.isin(first, special) | np.isin(second, special))
        ones = np.ones(int(both.sum()))
        counts += csr_matrix((ones, (first[both], second[both])), shape=(size, size))
    return csr_matrix(counts + counts.T)


def _neighbours(input_ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield tokens and those that stand 1, 2, … WINDOW places behind them."""
    rows = max(1, BLOCK // input_ids.shape[1])
    for start in range(0, len(input_ids), rows):
        block = input_ids[start : start + rows].astype(np.int32)
        for distance in range(1, min(WINDOW, block.shape[1] - 1) + 1):
            yield block[:, :-distance].ravel(), block[:, distance:].ravel()


def _positive_information(counts: csr_matrix) -> csr_matrix:
    """Return max(0, log p(context | token) / p(context)) wherever the count is not zero."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = totals**SMOOTHING
    pairs = counts.tocoo()
    ratio = pairs.data / totals[pairs.row] / (smoothed[pairs.col] / smoothed.sum())
    information = csr_matrix((np.maximum(np.log(ratio), 0.0), (pairs.row, pairs.col)), shape=counts.shape)
    information.eliminate_zeros()
    return information
