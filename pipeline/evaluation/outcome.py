"""The outcome of an evaluation: evaluation.json, the row by row predictions, and the tables that `dvc plots` draws."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax

from pipeline.evaluation import metrics
from pipeline.evaluation.comparison import accuracy_intervals, compare
from pipeline.evaluation.efficiency import size
from pipeline.evaluation.significance import Bootstrap
from pipeline.evaluation.table import LabelledTexts
from pipeline.files import replacing
from pipeline.params import EvaluateParams

DECIMALS = 6  # fewer than sums in another order could change
SCORED = ("teacher", "student")


def evaluation_outcome(
    task: str,
    test: LabelledTexts,
    logits: dict[str, np.ndarray],
    baselines: dict[str, np.ndarray],
    *,
    labels: list[str],
    folders: dict[str, Path],
    settings: EvaluateParams,
    seed: int,
) -> dict[str, Any]:
    """Return what evaluation.json holds.

    `logits` (rows, classes) of teacher, student and undistilled_student, `baselines` predicted indices (rows,), both
    over the rows of `test`; `folders` those of teacher and student.
    """
    predicted = predicted_labels(logits, baselines)
    right = {model: answers == test.labels for model, answers in predicted.items()}
    bootstrap = Bootstrap(settings.bootstrap_samples, settings.confidence, seed)
    intervals = accuracy_intervals(right, bootstrap)
    figures = {
        model: metrics.classification_metrics(test.labels, answers, len(labels)) | {"interval": intervals[model]}
        for model, answers in predicted.items()
    }
    tables = {
        model: metrics.reliability_table(test.labels, softmax(logits[model], axis=1), settings.calibration_bins)
        for model in SCORED
    }
    for model in SCORED:
        figures[model] |= size(folders[model])
        figures[model]["calibration_error"] = metrics.expected_calibration_error(tables[model])
    headings = _headings(test, labels)
    groups: dict[str, list[str]] = {heading: headings[heading] for heading in settings.slices}
    outcome = {
        "task": task,
        "metric": "accuracy",
        "labels": labels,
        "rows": len(test.ids),
        "confidence": settings.confidence,
        "teacher": figures["teacher"],
        "student": figures["student"],
        "baselines": {model: figures[model] for model in predicted if model not in SCORED},
        "comparison": compare(right, predicted, bootstrap),
        "slices": metrics.slice_metrics(groups, {model: right[model] for model in SCORED}),
        "confusion": metrics.confusion_counts(test.labels, predicted["student"], len(labels)),
        "reliability": tables["student"],
    }
    return dict(_rounded(outcome))


def predicted_labels(logits: dict[str, np.ndarray], baselines: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return every model's predicted class index, int64 (rows,): networks by their logits, baselines as they are."""
    return {model: values.argmax(axis=1).astype(np.int64) for model, values in logits.items()} | baselines


def write_predictions(
    path: Path, test: LabelledTexts, logits: dict[str, np.ndarray], baselines: dict[str, np.ndarray], labels: list[str]
) -> None:
    """Write for each test row its id, text and label, each model's answer, teacher's and student's probabilities."""
    columns: dict[str, Any] = {"id": test.ids, "text": test.texts, "label": test.labels}
    columns |= predicted_labels(logits, baselines)
    for model in SCORED:
        scores = softmax(logits[model].astype(np.float64), axis=1).round(DECIMALS)
        columns |= {f"{model}_score_{label}": scores[:, index] for index, label in enumerate(labels)}
    with replacing(path) as draft:
        pq.write_table(pa.table(columns), draft, compression="zstd")


def write_confusion(path: Path, test: LabelledTexts, student_logits: np.ndarray, labels: list[str]) -> None:
    """Write actual and predicted label name of each test row, as DVC's confusion template counts them."""
    pairs = zip(test.labels, student_logits.argmax(axis=1), strict=True)
    _write_csv(path, ["actual", "predicted"], [[labels[actual], labels[predicted]] for actual, predicted in pairs])


def write_reliability(path: Path, table: list[dict[str, float]]) -> None:
    """Write a reliability table: mean confidence, accuracy and rows of each bin."""
    header = ["confidence", "accuracy", "rows"]
    _write_csv(path, header, [[record[name] for name in header] for record in table])


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with replacing(path) as draft, open(draft, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _headings(test: LabelledTexts, labels: list[str]) -> dict[str, list[str]]:
    return {
        "source": test.sources,
        "label": [labels[label] for label in test.labels],
        "length": metrics.length_groups(test.texts),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_rounded(member) for member in value]
    return round(value, DECIMALS) if isinstance(value, float) else value
