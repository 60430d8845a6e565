"""Thresholds, abstention and what a temperature does to the figures, worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation import outcome
from pipeline.evaluation.calibration import Calibration, abstention_figures, calibration_figures
from pipeline.evaluation.table import LabelledTexts

LABELS = ["no", "yes"]


def logits(*chances: float) -> np.ndarray:
    """Logits whose softmax gives `yes` these probabilities."""
    return np.array([[0.0, math.log(chance / (1 - chance))] for chance in chances])


def test_only_the_likeliest_label_is_held_against_its_own_threshold() -> None:
    rows = logits(0.7, 0.8, 0.3, 0.05)
    assert Calibration(1.0, {"yes": 0.75}).abstained(rows, LABELS).tolist() == [True, False, False, False]
    assert Calibration(1.0, {"no": 0.75}).abstained(rows, LABELS).tolist() == [False, False, True, False]
    assert Calibration(1.0, {}).abstained(rows, LABELS).tolist() == [False] * 4
    halved = Calibration(2.0, {"yes": 0.75})
    assert halved.scaled(logits(0.9)) == pytest.approx(logits(0.75))  # odds of 9 become odds of 3
    assert halved.abstained(halved.scaled(logits(0.89, 0.91)), LABELS).tolist() == [True, False]


def test_each_of_several_labels_is_held_against_its_own_threshold() -> None:
    choices = logits(0.6, 0.6, 0.4, 0.9)  # of two rows `no` and `yes`
    assert Calibration().label_sets(choices, LABELS) == [{"no", "yes"}, {"yes"}]
    assert Calibration(1.0, {"yes": 0.8}).label_sets(choices, LABELS) == [{"no"}, {"yes"}]
    assert Calibration(1.0, {"no": 0.3}).label_sets(choices, LABELS) == [{"no", "yes"}, {"no", "yes"}]


def test_figures_of_probabilities_by_hand() -> None:
    """Four choices of probability 0.9, three of them right: 0.15 off; with odds of 3 in place of 9 not at all."""
    found = calibration_figures(logits(0.9, 0.9, 0.9, 0.9), np.array([1, 1, 1, 0]), bins=10)
    assert found["calibration_error"] == pytest.approx(0.15)
    assert found["loss"] == pytest.approx(-(3 * math.log(0.9) + math.log(0.1)) / 4)
    after = calibration_figures(Calibration(2.0).scaled(logits(0.9, 0.9, 0.9, 0.9)), np.array([1, 1, 1, 0]), bins=10)
    assert after["calibration_error"] == pytest.approx(0.0, abs=1e-12) and after["loss"] < found["loss"]
    unlabelled = calibration_figures(logits(0.9, 0.9, 0.9), np.array([1, -1, 0]), bins=10)
    assert unlabelled["loss"] == pytest.approx(-(math.log(0.9) + math.log(0.1)) / 2)


def test_what_is_answered_and_what_is_not() -> None:
    abstained, predicted, actual = np.array([True, False, False, True]), np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0])
    assert abstention_figures(abstained, predicted, actual) == {
        "coverage": 0.5, "accuracy_of_answered": 0.5, "accuracy_of_abstained": 0.5,
    }  # fmt: skip
    nothing = abstention_figures(np.array([True]), np.array([1]), np.array([1]))
    assert nothing == {"coverage": 0.0, "accuracy_of_answered": None, "accuracy_of_abstained": 1.0}


def test_predictions_keep_the_likeliest_label_and_say_what_is_withheld(tmp_path: Path) -> None:
    said = logits(0.9, 0.6, 0.2).astype(np.float32)
    test = LabelledTexts(["a", "b", "c"], ["x", "y", "z"], None, np.array([1, 0, 0]), ["here"] * 3)
    choices = {model: outcome.Choices(said, np.array([1, 0, 0])) for model in outcome.SCORED}
    answers = {model: said.argmax(axis=1) for model in outcome.SCORED}
    answered = outcome.Answered(test, LABELS, LABELS, choices, answers, {}, Calibration(2.0, {"yes": 0.7}))
    path = tmp_path / "predictions.parquet"
    outcome.write_predictions(path, answered)
    found = pq.read_table(path).to_pydict()
    assert found["student"] == [1, 1, 0] and found["student_abstained"] == [False, True, False]
    assert found["student_score_yes"] == pytest.approx([0.75, math.sqrt(1.5) / (1 + math.sqrt(1.5)), 1 / 3], abs=1e-5)
    assert found["teacher_score_yes"] == pytest.approx([0.9, 0.6, 0.2], abs=1e-5)
