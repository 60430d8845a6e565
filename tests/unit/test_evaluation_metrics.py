"""Metrics against values worked out by hand."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation import metrics
from pipeline.evaluation.table import read_labelled_texts
from pipeline.files import InputError


def test_accuracy_and_macro_f1_by_hand() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    found = metrics.classification_metrics(labels, predicted, classes=3)
    # class 0: tp 2, fp 2, fn 1 -> 4/7; class 1: tp 1, fp 1, fn 1 -> 1/2; class 2: never predicted -> 0
    assert found["accuracy"] == pytest.approx(3 / 6)
    assert found["macro_f1"] == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)


def test_a_class_that_nobody_names_counts_zero_and_does_not_warn() -> None:
    found = metrics.classification_metrics(np.array([0, 0]), np.array([0, 0]), classes=2)
    assert found == {"accuracy": 1.0, "macro_f1": 0.5}


def test_reliability_and_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45], [0.6, 0.4]])
    labels = np.array([0, 0, 0, 1])  # right, wrong, right, wrong
    table = metrics.reliability_table(labels, probabilities, bins=2)
    assert [record["rows"] for record in table] == [4]
    table = metrics.reliability_table(labels, probabilities, bins=4)  # bins end at 0.25, 0.5, 0.75, 1
    assert [record["rows"] for record in table] == [2, 2]
    assert [record["accuracy"] for record in table] == [0.5, 0.5]
    assert [record["confidence"] for record in table] == pytest.approx([0.575, 0.85])
    assert metrics.expected_calibration_error(table) == pytest.approx((2 * 0.075 + 2 * 0.35) / 4)


def test_a_confidence_of_one_has_a_bin_and_bins_close_on_the_right() -> None:
    probabilities = np.array([[1.0, 0.0], [0.5, 0.5]])
    table = metrics.reliability_table(np.array([0, 0]), probabilities, bins=10)
    assert [(record["rows"], record["confidence"]) for record in table] == [(1, 0.5), (1, 1.0)]
    assert metrics.expected_calibration_error(table) == pytest.approx(0.25)


def test_confusion_has_a_row_for_each_actual_class() -> None:
    assert metrics.confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=3) == [
        [1, 1, 0],
        [0, 1, 0],
        [0, 0, 0],
    ]


def test_slices_cover_every_row_once_per_heading() -> None:
    right = {"student": np.array([True, False, True, True]), "teacher": np.array([True, True, True, True])}
    found = metrics.slice_metrics({"source": ["b", "a", "a", "b"], "label": ["x", "x", "x", "x"]}, right)
    assert found == [
        {"slice": "source", "value": "a", "rows": 2, "student": 0.5, "teacher": 1.0},
        {"slice": "source", "value": "b", "rows": 2, "student": 1.0, "teacher": 1.0},
        {"slice": "label", "value": "x", "rows": 4, "student": 0.75, "teacher": 1.0},
    ]


def test_length_groups_are_thirds() -> None:
    groups = metrics.length_groups(["a" * length for length in range(1, 10)])
    assert [sum(group.startswith(name) for group in groups) for name in ("short", "medium", "long")] == [3, 3, 3]
    assert set(metrics.length_groups(["same", "size"])) == {"short (up to 4 characters)"}


def test_rows_without_a_known_label_are_named(tmp_path: Path) -> None:
    table = pa.table({"id": ["r1"], "text": ["x"], "label": ["odd"], "source": ["s"]})
    pq.write_table(table, tmp_path / "test.parquet")
    with pytest.raises(InputError, match=r"test\.parquet: row r1: label 'odd', expected one of \['no', 'yes'\]"):
        read_labelled_texts(tmp_path / "test.parquet", ["no", "yes"])
    with pytest.raises(InputError, match="no such file"):
        read_labelled_texts(tmp_path / "absent.parquet", ["no", "yes"])
