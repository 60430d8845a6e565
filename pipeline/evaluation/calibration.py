"""A student's answers as they are served: its logits divided by its temperature, its labels held against thresholds.

Both stand in export.json, as `export` found them on dev; pipeline/registry/served_model.py applies them alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from pipeline.evaluation import metrics

LIKELIER_THAN_NOT = 0.5  # from where a label is given, of any number of them, that has no threshold


class Calibration(NamedTuple):
    """What turns logits into probabilities, and which of these are enough, by label."""

    temperature: float = 1.0
    thresholds: Mapping[str, float] = {}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Calibration":
        """Return what export.json says; that of a task without probabilities changes nothing."""
        return cls(record.get("temperature", 1.0), record.get("thresholds", {}))

    def scaled(self, logits: np.ndarray) -> np.ndarray:
        """Return logits in float64, divided by the temperature."""
        return logits.astype(np.float64) / self.temperature

    def abstained(self, logits: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Tell of each row whether its likeliest label is no more probable than that label's threshold: bool (rows,).

        logits: scaled, (rows, labels).
        """
        probabilities = softmax(logits, axis=1)
        limits = np.array([self.thresholds.get(label, 0.0) for label in labels])
        return np.asarray(probabilities.max(axis=1) <= limits[probabilities.argmax(axis=1)])

    def label_sets(self, logits: np.ndarray, labels: Sequence[str]) -> list[frozenset[str]]:
        """Return the labels of each row that are more probable than their thresholds.

        logits: scaled, of each label of each row not to be given and to be given, (rows x labels, 2).
        """
        probabilities = softmax(logits, axis=1)[:, 1].reshape(-1, len(labels))
        limits = np.array([self.thresholds.get(label, LIKELIER_THAN_NOT) for label in labels])
        return [frozenset(labels[int(index)] for index in np.flatnonzero(row > limits)) for row in probabilities]


def calibration_figures(logits: np.ndarray, labels: np.ndarray, bins: int) -> dict[str, Any]:
    """Return how honest probabilities are: the calibration error, the mean of -log p(label), the reliability table.

    logits: (choices, classes); labels: (choices,), the right class of each, -1 where there is none.
    """
    logits, known = logits.astype(np.float64), np.flatnonzero(labels >= 0)
    table = metrics.reliability_table(labels, softmax(logits, axis=1), bins)
    return {
        "calibration_error": metrics.expected_calibration_error(table),
        "loss": float(-log_softmax(logits, axis=1)[known, labels[known]].mean()),
        "reliability": table,
    }


def abstention_figures(abstained: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> dict[str, Any]:
    """Return the share of rows that are answered (coverage), how many of those rightly, and how many of the others.

    An accuracy is None where it would be that of no row. abstained: bool (rows,); predicted, actual: the likeliest and
    the right label. Source: El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective Classification",
    section 2.
    """
    right = predicted == actual

    def accuracy(rows: np.ndarray) -> float | None:
        return float(right[rows].mean()) if rows.any() else None

    return {
        "coverage": float((~abstained).mean()),
        "accuracy_of_answered": accuracy(~abstained),
        "accuracy_of_abstained": accuracy(abstained),
    }
