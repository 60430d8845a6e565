"""Weights that make label and group independent, worked out by hand."""

import numpy as np
import pytest

from pipeline.tokenization.reweighting import balancing_weights, groups_by_terms


def test_weights_by_hand() -> None:
    groups = ["a", "a", "a", "a", "b", "b"]
    labels = np.array([1, 1, 1, 0, 0, 0])
    # P(a) = 4/6, P(b) = 2/6, both labels 3/6; of the rows 3/6 are (a, 1), 1/6 (a, 0), 2/6 (b, 0), none (b, 1)
    expected = [4 / 6 * 3 / 6 / (3 / 6)] * 3 + [4 / 6 * 3 / 6 / (1 / 6)] + [2 / 6 * 3 / 6 / (2 / 6)] * 2
    weights = balancing_weights(groups, labels)
    assert weights.dtype == np.float32 and weights == pytest.approx(expected)


def test_weighted_rows_have_each_label_as_often_in_each_group() -> None:
    chance = np.random.default_rng(0)
    groups = chance.choice(["x", "y", "z"], size=500, p=[0.7, 0.2, 0.1])
    labels = (chance.random(500) < np.where(groups == "x", 0.8, 0.3)).astype(np.int64)
    weights = balancing_weights(groups.tolist(), labels).astype(np.float64)
    assert weights.sum() == pytest.approx(500, rel=1e-6)
    for group in "xyz":
        members = groups == group
        assert weights[members].sum() == pytest.approx(members.sum(), rel=1e-6)
        assert np.average(labels[members], weights=weights[members]) == pytest.approx(labels.mean(), rel=1e-6)


def test_rows_that_are_balanced_already_count_once() -> None:
    assert balancing_weights(["a", "b", "a", "b"], [0, 0, 1, 1]).tolist() == [1.0] * 4


def test_whom_texts_speak_of() -> None:
    texts = ["My father sat.", "The queens sat.", "The king and the queen sat.", "The man sat.", "Nothing."]
    assert groups_by_terms(texts, "gender") == ["first", "second", "both", "neither", "neither"]
