"""How sure a student should be: the temperature of its logits, and what it answers above which probability.

Both are found on rows that nothing is trained on or measured by.
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

HOTTEST = 100.0  # from there on all classes are as good as equally likely
SCORES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T with which softmax(logits / T) makes the labels likeliest, to four digits.

    logits: (choices, classes); labels: the right class of each, -1 where there is none, which does not count. The
    likeliest class stays the same at any T > 0. Where no choice is wrong, ever smaller ones would be ever better: these
    labels then do not say how sure to be, and T is 1. Source: Guo et al. 2017, "On Calibration of Modern Neural
    Networks", section 4.2.
    """
    known = labels >= 0
    logits, labels = logits[known].astype(np.float64), labels[known]
    if (logits.argmax(axis=1) == labels).all():
        return 1.0
    # convex in 1 / T, so there is one minimum
    limit = np.log(HOTTEST)
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits / np.exp(log_t), labels),
        bounds=(-limit, limit),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(f"{np.exp(found.x):.3e}")


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log softmax(logits)_label over the choices that have a label; shapes as above."""
    known = labels >= 0
    of_classes = log_softmax(logits[known].astype(np.float64), axis=1)
    return float(-of_classes[np.arange(len(of_classes)), labels[known]].mean())


def accuracy_at_scores(logits: np.ndarray, labels: np.ndarray) -> list[dict[str, float | None]]:
    """Return for each of SCORES which share of rows has a more probable answer, and how many of these are right.

    Records of `score`, `coverage` and `accuracy`, which is None where no row is left. logits: (rows, classes), divided
    by their temperature; labels: (rows,). Source: El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective
    Classification", section 2.
    """
    probabilities = softmax(logits.astype(np.float64), axis=1)
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    records: list[dict[str, Any]] = []
    for score in SCORES:
        kept = sure > score
        accuracy = round(float(right[kept].mean()), 6) if kept.any() else None
        records.append({"score": score, "coverage": round(float(kept.mean()), 6), "accuracy": accuracy})
    return records
