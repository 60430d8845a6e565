"""Rows with any number of labels in what evaluate leaves: figures label by label, predictions, mistakes, references."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline import tracking
from pipeline.evaluation import outcome
from pipeline.evaluation.mistakes import worst_rows
from pipeline.evaluation.table import LabelledTexts
from pipeline.params import EvaluateParams, load_params
from pipeline.registry.gate import Comparison, Costs, decide
from pipeline.registry.rivals import PREDICTIONS
from pipeline.scoring.summary import of_test_rows

ROOT = Path(__file__).parents[2]
LABELS = ["art", "food", "war"]
ACTUAL = [{"art"}, {"art", "war"}, set(), {"food"}]
LOGITS = {  # the teacher is right everywhere, the student misses `war` and makes up `food`
    "teacher": [[2.0, -2.0, -2.0], [2.0, -2.0, 2.0], [-2.0, -2.0, -2.0], [-2.0, 2.0, -2.0]],
    "student": [[1.0, -1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, 3.0, -1.0], [-1.0, 1.0, -1.0]],
}


def answered() -> outcome.Answered:
    sets = [frozenset(row) for row in ACTUAL]
    texts = [f"text {number}" for number in range(len(sets))]
    test = LabelledTexts(["r0", "r1", "r2", "r3"], texts, None, sets, ["here"] * 4)
    answers: dict[str, Any] = {"undistilled_student": [frozenset()] * 4}
    choices = {}
    for model, logits in LOGITS.items():
        answers[model] = [frozenset(itertools.compress(LABELS, (z > 0 for z in row))) for row in logits]
        flat = np.array(logits, dtype=np.float32).ravel()
        right = np.array([label in row for row in sets for label in LABELS], dtype=np.int64)
        choices[model] = outcome.Choices(np.stack([np.zeros_like(flat), flat], axis=1), right)
    return outcome.Answered(test, LABELS, [], choices, answers)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    outcome.write_predictions(tmp_path / PREDICTIONS, answered())
    return tmp_path / PREDICTIONS


def test_the_outcome_has_each_label_by_itself_and_how_sure_each_choice_is(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    settings = EvaluateParams(
        bootstrap_samples=100,
        confidence=0.95,
        calibration_bins=10,
        slices=["label", "source"],
        identity_groups=[],
        min_slice_rows=1,
    )
    found = outcome.evaluation_outcome(
        "topics",
        answered(),
        ["micro_f1", "macro_label_f1", "subset_accuracy"],
        folders={"teacher": tmp_path, "student": tmp_path},
        settings=settings,
        seed=0,
    )
    assert found["teacher"]["micro_f1"] == found["teacher"]["subset_accuracy"] == 1.0
    assert found["student"]["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert found["student"]["macro_label_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["student"]["subset_accuracy"] == found["comparison"]["agreement"] == 0.5
    assert [{key: value for key, value in record.items() if "interval" not in key} for record in found["slices"]] == [
        {"slice": "source", "value": "here", "rows": 4, "teacher": 1.0, "student": pytest.approx(0.75)},
        {"slice": "label", "value": "art", "rows": 2, "teacher": 1.0, "student": 1.0},
        {"slice": "label", "value": "food", "rows": 1, "teacher": 1.0, "student": pytest.approx(2 / 3)},
        {"slice": "label", "value": "war", "rows": 1, "teacher": 1.0, "student": 0.0},
    ]
    assert found["confusion"] == []
    assert sum(record["rows"] for record in found["reliability"]) == 12  # a choice for each label of each row


def test_predictions_say_each_labels_probability_and_the_worst_rows_are_in_words(predictions: Path) -> None:
    found = worst_rows(predictions, LABELS)
    assert found["title"] == "Where the student's labels are furthest off" and not found["scored"]
    assert found["rows"] == [
        {"text": "text 1", "label": "art · war", "student": "art", "teacher": "art · war"},
        {"text": "text 2", "label": "nothing", "student": "food", "teacher": "nothing"},
    ]


def test_what_a_version_answered_is_the_reference_of_later_runs(
    predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow = tracking.connect()
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(predictions))
    tally = of_test_rows(mlflow, run.info.run_id)
    assert tally is not None
    assert tally.rows == 4 and tally.counts["label"] == {"art": 2, "food": 2}
    assert tally.mean("score") == pytest.approx(np.mean([1 / (1 + np.exp(-z)) for z in (1, 1, 3, 1)]), abs=1e-5)


def test_the_gate_holds_sets_of_labels_against_each_other() -> None:
    found, gate = answered(), load_params(ROOT / "params.yaml").tasks["sentiment"].gate
    gate = gate.model_copy(update={"metric": "micro_f1", "min_rows": 10})
    actual, teacher, student = (
        [*answers] * 50 for answers in (found.test.actual, found.answers["teacher"], found.answers["student"])
    )
    costs = Costs(size=1, latency=1.0)
    assert decide(gate, Comparison(actual, teacher, {1: student}), costs).alias == "champion"
    assert decide(gate, Comparison(actual, student, {1: teacher}), costs).alias == "challenger"
