"""Metrics against values worked out by hand."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation import metrics
from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.significance import Bootstrap
from pipeline.evaluation.table import SPANS, as_column, from_column, read_labelled_texts
from pipeline.files import InputError

BOOTSTRAP = Bootstrap(samples=2000, confidence=0.95, seed=0)


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
    actual = np.array([0, 1, 1, 0])
    answers = {"student": np.array([0, 0, 1, 0]), "teacher": actual}
    counts = {model: FIGURES["accuracy"].counts(actual, said) for model, said in answers.items()}
    groups = {"source": ["b", "a", "a", "b"], "label": ["x", "x", "x", "x"]}
    found = metrics.slice_metrics("accuracy", groups, counts, 1, BOOTSTRAP)
    assert [{name: value for name, value in record.items() if "interval" not in name} for record in found] == [
        {"slice": "source", "value": "a", "rows": 2, "student": 0.5, "teacher": 1.0},
        {"slice": "source", "value": "b", "rows": 2, "student": 1.0, "teacher": 1.0},
        {"slice": "label", "value": "x", "rows": 4, "student": 0.75, "teacher": 1.0},
    ]
    assert metrics.slice_gaps(found, "student") == {"source": 0.5, "label": 0.0}


def test_slices_of_spans_have_the_f1_of_their_rows_together() -> None:
    actual = [[(0, 3, "a"), (4, 6, "b")], [(0, 3, "a")], []]
    answers = [[(0, 3, "a")], [(0, 2, "a"), (4, 6, "b")], []]
    counts = {"student": FIGURES["span_f1"].counts(actual, answers)}
    found = metrics.slice_metrics("span_f1", {"source": ["web", "web", "print"]}, counts, 1, BOOTSTRAP)
    assert [(record["value"], record["student"]) for record in found] == [("print", 1.0), ("web", pytest.approx(2 / 6))]
    assert metrics.slice_gaps(found, "student") == {"source": pytest.approx(4 / 6)}


def test_a_group_has_the_interval_of_its_own_rows_or_is_too_small_for_a_figure() -> None:
    actual, student = np.zeros(110, dtype=np.int64), np.repeat([0, 1, 0, 1], [80, 20, 1, 9])
    counts = {"student": FIGURES["accuracy"].counts(actual, student)}
    cities = ["Rome"] * 100 + ["Oslo"] * 10
    small, large = metrics.slice_metrics("accuracy", {"city": cities}, counts, 11, BOOTSTRAP)
    assert small == {"slice": "city", "value": "Oslo", "rows": 10, "student": None, "student_interval": None}
    assert (large["value"], large["rows"], large["student"]) == ("Rome", 100, 0.8)
    # of 100 rows of which 80 are right: 0.8 less and more 1.96 times the root of 0.8 * 0.2 / 100, 0.04
    assert large["student_interval"] == pytest.approx([0.72, 0.88], abs=0.011)
    assert metrics.slice_gaps([small, large], "student") == {"city": 0.0}
    both = metrics.slice_metrics("accuracy", {"city": cities}, counts, 10, BOOTSTRAP)
    assert metrics.slice_gaps(both, "student") == {"city": pytest.approx(0.7)}
    assert metrics.slice_gaps([small], "student") == {"city": 0.0}


def test_length_groups_are_thirds() -> None:
    groups = metrics.length_groups(["a" * length for length in range(1, 10)])
    assert [sum(group.startswith(name) for group in groups) for name in ("short", "medium", "long")] == [3, 3, 3]
    assert set(metrics.length_groups(["same", "size"])) == {"short (up to 4 characters)"}


def test_rows_without_a_known_label_are_named(tmp_path: Path) -> None:
    table = pa.table({"id": ["r1"], "text": ["x"], "pair": pa.nulls(1, pa.string()), "label": ["odd"], "source": ["s"]})
    pq.write_table(table, tmp_path / "test.parquet")
    with pytest.raises(InputError, match=r"test\.parquet: row r1: label 'odd', expected one of \['no', 'yes'\]"):
        read_labelled_texts(tmp_path / "test.parquet", "text_classification", ["no", "yes"])
    with pytest.raises(InputError, match="no such file"):
        read_labelled_texts(tmp_path / "absent.parquet", "text_classification", ["no", "yes"])


def test_rows_without_known_spans_are_named_and_columns_come_back(tmp_path: Path) -> None:
    path, spans = tmp_path / "test.parquet", [[(0, 1, "no")], [], [(0, 1, "yes"), (2, 3, "no")]]
    columns = {"id": ["r1", "r2", "r3"], "text": ["x", "y", "z z"], "source": ["s"] * 3, "pair": [None] * 3}
    pq.write_table(pa.table(columns | {"spans": as_column(spans)}), path)
    assert read_labelled_texts(path, "token_classification", ["no", "yes"]).actual == spans
    assert from_column(pq.read_table(path)["spans"]) == spans
    with pytest.raises(InputError, match=r"row r1: span label 'no', expected one of \['yes'\]"):
        read_labelled_texts(path, "token_classification", ["yes"])
    pq.write_table(pa.table(columns | {"spans": pa.nulls(3, SPANS)}), path)
    with pytest.raises(InputError, match="row r1: no spans, expected a list"):
        read_labelled_texts(path, "token_classification", ["no", "yes"])
