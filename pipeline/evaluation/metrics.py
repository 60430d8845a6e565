"""Where a model is right and how sure it is of that: calibration, confusion, slices.

Calibration and confusion are of what carries a label, a row or a word; both are called a row here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from pipeline.evaluation.comparison import figure_intervals
from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.significance import Bootstrap


def reliability_table(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> list[dict[str, float]]:
    """Compare confidence with accuracy in `bins` equally wide bins of confidence, empty bins left out.

    `labels` is (rows,), `probabilities` (rows, classes); confidence is the likeliest class's probability. Each record
    has `rows`, mean `confidence` and `accuracy`. Bins are closed on the right. Source: Guo et al. 2017, section 2.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of_row = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        {
            "rows": int(members.sum()),
            "confidence": float(confidence[members].mean()),
            "accuracy": float(right[members].mean()),
        }
        for members in (bin_of_row == index for index in range(bins))
        if members.any()
    ]


def expected_calibration_error(table: Sequence[Mapping[str, float]]) -> float:
    """Return the mean distance of confidence and accuracy, weighted by rows. Source: Guo et al. 2017, equation 3."""
    rows = sum(record["rows"] for record in table)
    return sum(record["rows"] * abs(record["confidence"] - record["accuracy"]) for record in table) / rows


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[list[int]]:
    """Return counts of shape (classes, classes): one row for each actual class, one column for each predicted one."""
    if not classes:
        return []
    return [[int(count) for count in row] for row in confusion_matrix(labels, predicted, labels=range(classes))]


def slice_metrics(
    metric: str,
    groups: Mapping[str, Sequence[str]],
    counts: Mapping[str, np.ndarray],
    min_rows: int,
    bootstrap: Bootstrap,
) -> list[dict[str, Any]]:
    """Return the figure `metric` of each model on each slice of the rows, as `slice_record` gives it.

    `groups` gives every row's value under each heading ({"source": ["imdb", ...]}), `counts` what the row adds to a
    model's figure, int64 (rows, k).
    """
    records = []
    for heading, values in groups.items():
        column = np.asarray(values)
        for value in dict.fromkeys(sorted(values)):
            members = column == value
            found: dict[str, Any] = {"slice": heading, "value": value, "rows": int(members.sum())}
            own = {model: added[members] for model, added in counts.items()}
            records.append(found | slice_figures(metric, own, found["rows"] >= min_rows, bootstrap))
    return records


def slice_figures(metric: str, counts: Mapping[str, np.ndarray], enough: bool, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return each model's figure on some rows under its name, and its interval as MODEL_interval.

    `counts` is what the rows add to each model's figure, int64 (rows, k). Where they are not `enough` all is None: what
    a few rows give would be read as more than chance.
    """
    if not enough:
        return dict.fromkeys(counts) | {f"{model}_interval": None for model in counts}
    intervals = figure_intervals(metric, dict(counts), bootstrap)
    figures = {model: float(FIGURES[metric].of(added.sum(axis=0))) for model, added in counts.items()}
    return figures | {f"{model}_interval": intervals[model] for model in counts}


def slice_gaps(records: Sequence[Mapping[str, Any]], model: str) -> dict[str, float]:
    """Return for each slice how far apart the figures of `model` on its best and on its worst group are.

    `records` are those of `slice_metrics`; groups that are too small do not count, and where all are the gap is 0.
    """
    by_slice: dict[str, list[float]] = {}
    for record in records:
        by_slice.setdefault(record["slice"], []).extend([] if record[model] is None else [record[model]])
    return {heading: max(scores, default=0.0) - min(scores, default=0.0) for heading, scores in by_slice.items()}


def distinct(texts: Sequence[str], size: int) -> float:
    """Return the share of different ones among all runs of `size` words of the texts; 0 where there are none."""
    words = [text.split() for text in texts]
    runs = [tuple(row[start : start + size]) for row in words for start in range(len(row) - size + 1)]
    return len(set(runs)) / max(len(runs), 1)


def length_groups(texts: Sequence[str]) -> list[str]:
    """Return for each text which third of the texts it is in by length: `short`, `medium` or `long`, with its bounds.

    Length is counted in characters, which every script has.
    """
    lengths = np.array([len(text) for text in texts])
    first, second = (int(bound) for bound in np.quantile(lengths, [1 / 3, 2 / 3], method="lower"))
    names = [f"short (up to {first} characters)", f"medium (up to {second})", f"long (over {second})"]
    return [names[int(length > first) + int(length > second)] for length in lengths]
