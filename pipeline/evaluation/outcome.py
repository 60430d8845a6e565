"""The outcome of an evaluation: evaluation.json, the row by row predictions, and the tables that `dvc plots` draws."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax

from pipeline.evaluation import metrics, text_figures
from pipeline.evaluation.calibration import Calibration, abstention_figures, calibration_figures
from pipeline.evaluation.comparison import agreement, compare, figure_intervals
from pipeline.evaluation.efficiency import size
from pipeline.evaluation.figures import FIGURES, Answers, score, slice_metric
from pipeline.evaluation.report import PLAIN
from pipeline.evaluation.significance import Bootstrap
from pipeline.evaluation.table import LabelledTexts, as_column
from pipeline.files import read_json, replacing
from pipeline.params import EvaluateParams

DECIMALS = 6  # fewer than sums in another order could change
SCORED = ("teacher", "student")
SAMPLES_SHOWN = 5
NOTHING = "(nothing)"


class Choices(NamedTuple):
    """What a model was to choose, for rows or for words: its logits, float32 (choices, K), and the right one of K."""

    logits: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Answered:
    """The test rows and what every model says about them.

    labels, classes: the task's labels, and what each choice is among; empty where a task has none. choices: those of
    teacher and student, empty where they chose among too many. answers: every model's, over the rows of `test`.
    written: beginnings of some rows, and how teacher and student go on with them; empty where they write nothing.
    calibration: how the student's logits, which choices has as they are, become probabilities and answers.
    """

    test: LabelledTexts
    labels: list[str]
    classes: list[str]
    choices: dict[str, Choices]
    answers: dict[str, Answers]
    written: dict[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)

    @property
    def has_labels(self) -> bool:
        """Whether each row has one label."""
        return isinstance(self.test.actual, np.ndarray) and bool(self.classes)

    @property
    def has_label_sets(self) -> bool:
        """Whether each row has any number of labels."""
        return isinstance(self.test.actual[0], frozenset)

    def logits(self, model: str) -> np.ndarray:
        """Return the logits of teacher or student, float64 (choices, K), the student's divided by its temperature."""
        said = self.choices[model].logits
        return self.calibration.scaled(said) if model == "student" else said.astype(np.float64)


def evaluation_outcome(
    task: str,
    answered: Answered,
    figures: Sequence[str],
    *,
    folders: dict[str, Path],
    served: Path | None = None,
    settings: EvaluateParams,
    seed: int,
) -> dict[str, Any]:
    """Return what evaluation.json holds.

    `figures` are the names of those that the task has, first the one that models are compared by; `folders` those of
    teacher and student, `served` that of the form in which the student answered where it was not its weights; then
    `student_in_pytorch` is what was said with these. Slices have the first figure of the task's type, which a few rows
    of one label have as well.
    """
    metric, test = figures[0], answered.test
    counts = {model: FIGURES[metric].counts(test.actual, said) for model, said in answered.answers.items()}
    bootstrap = Bootstrap(settings.bootstrap_samples, settings.confidence, seed)
    intervals = figure_intervals(metric, counts, bootstrap)
    models: dict[str, dict[str, Any]] = {
        model: {name: score(name, test.actual, said) for name in figures} | {"interval": intervals[model]}
        for model, said in answered.answers.items()
    }
    for model in SCORED:
        models[model] |= size(folders[model], served if model == "student" else None)
    sliced = slice_metric(metric)
    slice_counts = {model: FIGURES[sliced].counts(test.actual, answered.answers[model]) for model in SCORED}
    calibrated = {
        model: calibration_figures(answered.logits(model), said.labels, settings.calibration_bins)
        for model, said in answered.choices.items()
    }
    for model, found in calibrated.items():
        models[model]["calibration_error"] = found["calibration_error"]
    outcome = {
        "task": task,
        "metric": metric,
        "signature": text_figures.bleu_signature(list(map(str, test.actual))) if metric == "bleu" else None,
        "labels": answered.labels,
        "classes": answered.classes,
        "rows": len(test.ids),
        "confidence": settings.confidence,
        "teacher": models["teacher"],
        "student": models["student"],
        "exported": _exported(models, answered, folders["student"]),
        "baselines": {model: found for model, found in models.items() if model not in (*SCORED, PLAIN)},
        "comparison": compare(metric, counts, answered.answers, bootstrap),
        "slices": metrics.slice_metrics(
            sliced, _groups(answered, settings), slice_counts, settings.min_slice_rows, bootstrap
        )
        + _of_each_label(sliced, answered, settings, bootstrap),
        "confusion": metrics.confusion_counts(*_confused(answered), len(answered.classes)),
        "reliability": calibrated["student"]["reliability"] if calibrated else [],
        "calibration": _calibration(answered, calibrated, settings.calibration_bins),
        "abstention": _abstention(answered),
    }
    return outcome | _writing(answered, folders["teacher"])


def _calibration(answered: Answered, after: dict[str, Any], bins: int) -> dict[str, Any] | None:
    """Return what the student's temperature did to its probabilities on test; None where that is 1."""
    if answered.calibration.temperature == 1:
        return None
    before = calibration_figures(*answered.choices["student"], bins)
    return {"temperature": answered.calibration.temperature, "before": before, "after": after["student"]}


def _abstention(answered: Answered) -> dict[str, Any] | None:
    """Return how many rows the student answers under its thresholds, and how well; None where it has none."""
    if not answered.has_labels or not answered.calibration.thresholds:
        return None
    abstained = answered.calibration.abstained(answered.logits("student"), answered.labels)
    predicted, actual = np.asarray(answered.answers["student"]), np.asarray(answered.test.actual)
    figures = abstention_figures(abstained, predicted, actual)
    return {"thresholds": dict(answered.calibration.thresholds)} | figures


def _exported(models: dict[str, dict[str, Any]], answered: Answered, folder: Path) -> dict[str, Any] | None:
    """Return what the student was before it was exported and on which share of the rows it still answers alike.

    None where it was not.
    """
    if PLAIN not in models:
        return None
    alike = agreement(answered.answers["student"], answered.answers[PLAIN])
    return {PLAIN: models[PLAIN] | size(folder), "agreement": alike}


def _writing(answered: Answered, teacher: Path) -> dict[str, Any]:
    """Return what was predicted, how rich the words are with which models go on, and some examples.

    Nothing where they write nothing. characters, tokens: of all test rows, tokens being those of the tokenizer of the
    folder `teacher`, of which there are vocabulary_size; perplexity is that of one of them, whatever the model.

    distinct_1 and distinct_2: by model, the share of different words, and of pairs of them, among all in its
    continuations. Source: Li et al. 2016, "A Diversity-Promoting Objective Function", section 5.1.
    """
    if not answered.written.get("student"):
        return {}
    texts = {model: [text for _, text in pairs] for model, pairs in answered.written.items()}
    shown = zip(answered.written["student"][:SAMPLES_SHOWN], texts["teacher"], strict=False)
    characters, tokens = np.asarray(answered.test.actual).sum(axis=0).tolist()
    return {
        "characters": characters,
        "tokens": tokens,
        "vocabulary_size": read_json(teacher / "config.json")["vocab_size"],
        "distinct_1": {model: metrics.distinct(written, 1) for model, written in texts.items()},
        "distinct_2": {model: metrics.distinct(written, 2) for model, written in texts.items()},
        "samples": [{"text": text, "student": student, "teacher": teacher} for (text, student), teacher in shown],
    }


def write_predictions(path: Path, answered: Answered) -> None:
    """Write for each test row its id, its text, the actual answer as `label` and each model's answer.

    Where a whole row has a label, or several, teacher's and student's probabilities of each follow. The student's label
    is its likeliest one; where it has thresholds, `student_abstained` says whether it is withheld.
    """
    test = answered.test
    columns: dict[str, Any] = {"id": test.ids, "text": test.texts}
    columns |= ({"pair": test.pairs} if test.pairs else {}) | {"label": as_column(test.actual)}
    columns |= {model: as_column(said) for model, said in answered.answers.items()}
    if answered.has_labels or answered.has_label_sets:
        for model in answered.choices:
            scores = softmax(answered.logits(model), axis=1).round(DECIMALS)
            if answered.has_label_sets:  # of each label yes and no
                scores = scores[:, 1].reshape(len(test.ids), -1)
            columns |= {f"{model}_score_{label}": scores[:, index] for index, label in enumerate(answered.labels)}
    if answered.has_labels and answered.calibration.thresholds:
        columns["student_abstained"] = answered.calibration.abstained(answered.logits("student"), answered.labels)
    with replacing(path) as draft:
        pq.write_table(pa.table(columns), draft, compression="zstd")


def write_confusion(path: Path, answered: Answered) -> None:
    """Write actual class and the student's of each choice, as DVC's confusion template counts them."""
    names, pairs = answered.classes, zip(*(column.tolist() for column in _confused(answered)), strict=True)
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


def _confused(answered: Answered) -> tuple[np.ndarray, np.ndarray]:
    """Return the actual class and the student's of each choice, none where the task has no classes."""
    if not answered.classes:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    said = answered.choices["student"]
    return said.labels, said.logits.argmax(axis=1)


def _groups(answered: Answered, settings: EvaluateParams) -> dict[str, Sequence[str]]:
    """Return every row's value under each heading that is asked for, NOTHING where a column holds none."""
    test, labels = answered.test, answered.labels
    values = {
        "source": lambda: test.sources,
        "label": lambda: [labels[index] for index in np.asarray(test.actual)],
        "length": lambda: metrics.length_groups(test.texts),
    }
    kept = {name: [value or NOTHING for value in column] for name, column in test.metadata.items()}
    each = [heading for heading in settings.slices if heading != "label" or not answered.has_label_sets]
    return {heading: kept[heading] if heading in kept else values[heading]() for heading in each}


def _of_each_label(
    metric: str, answered: Answered, settings: EvaluateParams, bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """Return the figure of each label by itself where rows have several, as records of slices.

    `rows` are those that carry the label; one that no row carries is left out.
    """
    if "label" not in settings.slices or not answered.has_label_sets:
        return []
    records: list[dict[str, Any]] = []
    columns: list[Any] = [answered.test.actual, *(answered.answers[model] for model in SCORED)]
    for label in answered.labels:
        actual, *said = ([row & {label} for row in column] for column in columns)
        if rows := sum(map(len, actual)):
            counts = {model: FIGURES[metric].counts(actual, own) for model, own in zip(SCORED, said, strict=True)}
            scores = metrics.slice_figures(metric, counts, rows >= settings.min_slice_rows, bootstrap)
            records.append({"slice": "label", "value": label, "rows": rows} | scores)
    return records


def rounded(value: Any) -> Any:
    """Return `value` with every float in it, however deep, of DECIMALS decimals."""
    if isinstance(value, dict):
        return {key: rounded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [rounded(member) for member in value]
    return round(value, DECIMALS) if isinstance(value, float) else value
