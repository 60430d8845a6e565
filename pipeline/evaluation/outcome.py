"""The outcome of an evaluation: evaluation.json, the row by row predictions, and the tables that `dvc plots` draws."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax

from pipeline.evaluation import metrics
from pipeline.evaluation.comparison import compare, figure_intervals
from pipeline.evaluation.efficiency import size
from pipeline.evaluation.figures import FIGURES, Answers, score
from pipeline.evaluation.significance import Bootstrap
from pipeline.evaluation.table import LabelledTexts, as_column
from pipeline.files import replacing
from pipeline.params import EvaluateParams

DECIMALS = 6  # fewer than sums in another order could change
SCORED = ("teacher", "student")


@dataclass(frozen=True)
class Answered:
    """The test rows and what every model says about them.

    labels, classes: the task's labels, and what the columns of logits stand for. targets: the actual class of each
    target (a row, or a word), int64 (targets,). logits: those of teacher, student and undistilled_student, float32
    (targets, classes). answers: every model's, over the rows of `test`.
    """

    test: LabelledTexts
    labels: list[str]
    classes: list[str]
    targets: np.ndarray
    logits: dict[str, np.ndarray]
    answers: dict[str, Answers]


def evaluation_outcome(
    task: str,
    answered: Answered,
    figures: Sequence[str],
    *,
    folders: dict[str, Path],
    settings: EvaluateParams,
    seed: int,
) -> dict[str, Any]:
    """Return what evaluation.json holds.

    `figures` are the names of those that the task has, the main one first; `folders` those of teacher and student.
    """
    metric, test = figures[0], answered.test
    counts = {model: FIGURES[metric].counts(test.actual, said) for model, said in answered.answers.items()}
    bootstrap = Bootstrap(settings.bootstrap_samples, settings.confidence, seed)
    intervals = figure_intervals(metric, counts, bootstrap)
    models: dict[str, dict[str, Any]] = {
        model: {name: score(name, test.actual, said) for name in figures} | {"interval": intervals[model]}
        for model, said in answered.answers.items()
    }
    tables = {model: _reliability(answered, model, settings.calibration_bins) for model in SCORED}
    for model in SCORED:
        models[model] |= size(folders[model])
        models[model]["calibration_error"] = metrics.expected_calibration_error(tables[model])
    said_by_student = answered.logits["student"].argmax(axis=1)
    outcome = {
        "task": task,
        "metric": metric,
        "labels": answered.labels,
        "classes": answered.classes,
        "rows": len(test.ids),
        "confidence": settings.confidence,
        "teacher": models["teacher"],
        "student": models["student"],
        "baselines": {model: found for model, found in models.items() if model not in SCORED},
        "comparison": compare(metric, counts, answered.answers, bootstrap),
        "slices": metrics.slice_metrics(metric, _groups(answered, settings), {name: counts[name] for name in SCORED}),
        "confusion": metrics.confusion_counts(answered.targets, said_by_student, len(answered.classes)),
        "reliability": tables["student"],
    }
    return dict(_rounded(outcome))


def write_predictions(path: Path, answered: Answered) -> None:
    """Write for each test row its id, its text, the actual answer as `label` and each model's answer.

    Where a whole row has a label, teacher's and student's probabilities of each follow.
    """
    test = answered.test
    columns: dict[str, Any] = {"id": test.ids, "text": test.texts, "label": as_column(test.actual)}
    columns |= {model: as_column(said) for model, said in answered.answers.items()}
    if isinstance(test.actual, np.ndarray):
        for model in SCORED:
            scores = softmax(answered.logits[model].astype(np.float64), axis=1).round(DECIMALS)
            columns |= {f"{model}_score_{label}": scores[:, index] for index, label in enumerate(answered.labels)}
    with replacing(path) as draft:
        pq.write_table(pa.table(columns), draft, compression="zstd")


def write_confusion(path: Path, answered: Answered) -> None:
    """Write actual class and the student's of each target, as DVC's confusion template counts them."""
    names, predicted = answered.classes, answered.logits["student"].argmax(axis=1)
    pairs = zip(answered.targets.tolist(), predicted.tolist(), strict=True)
    _write_csv(path, ["actual", "predicted"], [[names[actual], names[said]] for actual, said in pairs])


def write_reliability(path: Path, table: list[dict[str, float]]) -> None:
    """Write a reliability table: mean confidence, accuracy and rows of each bin."""
    header = ["confidence", "accuracy", "rows"]
    _write_csv(path, header, [[record[name] for name in header] for record in table])


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with replacing(path) as draft, open(draft, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _reliability(answered: Answered, model: str, bins: int) -> list[dict[str, float]]:
    return metrics.reliability_table(answered.targets, softmax(answered.logits[model], axis=1), bins)


def _groups(answered: Answered, settings: EvaluateParams) -> dict[str, Sequence[str]]:
    """Return every row's value under each heading that is asked for."""
    test, labels = answered.test, answered.labels
    values = {
        "source": lambda: test.sources,
        "label": lambda: [labels[index] for index in np.asarray(test.actual)],
        "length": lambda: metrics.length_groups(test.texts),
    }
    return {heading: values[heading]() for heading in settings.slices}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_rounded(member) for member in value]
    return round(value, DECIMALS) if isinstance(value, float) else value
