"""Word embeddings from what stands near what: the counts by hand, the geometry of a toy corpus, the same bits again."""

import numpy as np
import pytest

from pipeline.tokenization import cooccurrence
from pipeline.tokenization.cooccurrence import cooccurrence_embeddings

SPECIAL = np.array([0, 1])


def test_counts_are_pairs_at_most_a_window_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "WINDOW", 2)
    counts = cooccurrence._counts(np.array([[0, 2, 3, 4, 1], [0, 2, 2, 1, 1]], dtype=np.uint16), SPECIAL, 6).toarray()
    expected = np.zeros((6, 6))
    for first, second in ((2, 3), (3, 4), (2, 4), (2, 2)):
        expected[first, second] += 1
        expected[second, first] += 1
    assert np.array_equal(counts, expected)


def test_information_is_the_positive_log_ratio_of_shares() -> None:
    counts = cooccurrence.csr_matrix(np.array([[0.0, 3.0], [3.0, 2.0]]))
    smoothed = np.array([3.0, 5.0]) ** 0.75
    shares = smoothed / smoothed.sum()
    found = cooccurrence._positive_information(counts).toarray()
    # (1, 1) stands beside itself less often than chance: 2/5 against a share of 0.59
    assert found == pytest.approx(np.array([[0, np.log(1 / shares[1])], [np.log(3 / 5 / shares[0]), 0]]))


def test_tokens_of_equal_company_lie_together_and_unseen_ones_are_zero() -> None:
    generator = np.random.default_rng(0)
    rows = [
        np.r_[0, generator.permutation(np.r_[words, words]), 1] for words in ([2, 3, 4], [5, 6, 7]) for _ in range(50)
    ]
    found = cooccurrence_embeddings(np.stack(rows), SPECIAL, vocabulary_size=10, width=2, seed=3)
    assert found.shape == (10, 2) and found.dtype == np.float32
    assert not found[[0, 1, 8, 9]].any() and found[2:8].std() == pytest.approx(cooccurrence.SCALE)
    unit = found[2:8] / np.linalg.norm(found[2:8], axis=1, keepdims=True)
    near = unit @ unit.T
    assert near[:3, :3].min() > 0.9 and near[3:, 3:].min() > 0.9 and near[:3, 3:].max() < 0
    again = cooccurrence_embeddings(np.stack(rows), SPECIAL, vocabulary_size=10, width=2, seed=3)
    assert np.array_equal(found, again)


def test_blocks_do_not_change_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.random.default_rng(1).integers(0, 9, size=(20, 16))
    whole = cooccurrence._counts(ids, SPECIAL, 9).toarray()
    monkeypatch.setattr(cooccurrence, "BLOCK", 40)
    assert np.array_equal(whole, cooccurrence._counts(ids, SPECIAL, 9).toarray())


def test_a_width_beyond_the_vocabulary_is_filled_with_zeros() -> None:
    ids = np.random.default_rng(1).integers(2, 9, size=(20, 16))
    assert cooccurrence_embeddings(ids, SPECIAL, vocabulary_size=9, width=12, seed=0)[:, 9:].std() < 1e-6
