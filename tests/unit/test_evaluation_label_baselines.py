"""Figures and baselines of texts with any number of labels: as scikit-learn counts them, and by trying all."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.evaluation import label_baselines
from pipeline.evaluation.figures import score
from pipeline.evaluation.table import as_column, from_column

LABELS = ["art", "food", "war"]


def chosen(share: float, seed: int, rows: int = 60) -> list[frozenset[str]]:
    yes = np.random.default_rng(seed).random((rows, 3)) < [share, share / 2, share / 4]
    return [frozenset(LABELS[i] for i in np.flatnonzero(row)) for row in yes]


def test_figures_are_those_of_scikit_learn() -> None:
    actual, answers = chosen(0.7, 0), chosen(0.6, 1)
    there, given = (label_baselines.as_matrix(sets, LABELS) for sets in (actual, answers))
    assert score("micro_f1", actual, answers) == pytest.approx(f1_score(there, given, average="micro"))
    assert score("macro_label_f1", actual, answers) == pytest.approx(f1_score(there, given, average="macro"))
    assert score("subset_accuracy", actual, answers) == pytest.approx(float((there == given).all(axis=1).mean()))


def test_rows_without_labels_count_in_full() -> None:
    nothing: list[frozenset[str]] = [frozenset(), frozenset()]
    assert score("micro_f1", nothing, nothing) == score("subset_accuracy", nothing, nothing) == 1.0
    assert score("macro_label_f1", nothing, nothing) == 0.0


def test_label_sets_come_back_from_a_column() -> None:
    sets = [frozenset(), frozenset(["war", "art"])]
    assert from_column(as_column(sets)) == sets
    assert as_column(sets).to_pylist() == [[], ["art", "war"]]


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.0])
def test_the_same_labels_for_all_are_the_best_ones(share: float) -> None:
    train = chosen(share, 2)
    (answer, *_) = label_baselines.same_labels(train, 3)
    every = [frozenset(some) for size in range(4) for some in combinations(LABELS, size)]
    best = max(score("micro_f1", train, [some] * len(train)) for some in every if some or share == 0.0)
    assert score("micro_f1", train, [answer] * len(train)) == pytest.approx(best)


def test_each_label_is_learnt_by_itself_and_one_that_never_changes_is_kept() -> None:
    texts = ["paint", "bread", "paint bread", "stone"] * 5
    sets = [frozenset(["art"]), frozenset(["food"]), frozenset(["art", "food"]), frozenset()] * 5
    fitted = label_baselines.OneVersusRest(LABELS, lambda answers: score("micro_f1", sets[:4], answers))
    splits = texts, texts[:4], ["bread paint", "stone stone", "bread"]
    expected = [frozenset(["art", "food"]), frozenset(), frozenset(["food"])]
    assert (
        label_baselines.tfidf_logistic_regression(fitted, splits, label_baselines.as_matrix(sets, LABELS)) == expected
    )
    logits = np.where(label_baselines.as_matrix(sets, LABELS), 3.0, -3.0).astype(np.float32)
    assert label_baselines.distilled_tfidf_logistic_regression(fitted, splits, logits) == expected
    unsure = logits.copy()
    unsure[:4, 0] *= -1e-3  # hardly an answer, so hardly heard
    assert label_baselines.distilled_tfidf_logistic_regression(fitted, splits, unsure) == expected
