"""What a difference between models is worth, given that they were tried on finitely many rows.

All models answer the same rows, so rows are resampled for all of them at once: that a row is hard for both is no
evidence for either.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm


@dataclass(frozen=True)
class Bootstrap:
    """How often rows are resampled, from which seed, and how much of what comes out an interval has to hold."""

    samples: int
    confidence: float
    seed: int


def resampled_accuracies(right: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    """Return every model's accuracy on resamples of the rows with replacement, shape (samples, models).

    `right` is boolean (models, rows). Source: Efron 1979. Rows on which every model does the same are exchangeable, so
    counting how often each pattern is drawn (a multinomial) is the same bootstrap without touching single rows.
    """
    patterns, counts = np.unique(right, axis=1, return_counts=True)
    rows = right.shape[1]
    drawn = np.random.default_rng(bootstrap.seed).multinomial(rows, counts / rows, size=bootstrap.samples)
    return np.asarray(drawn @ patterns.T / rows)


def percentile_interval(values: np.ndarray, confidence: float) -> list[float]:
    """Return the two-sided percentile interval of bootstrap values, shape (samples,)."""
    return [float(bound) for bound in np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])]


def paired_difference(first: np.ndarray, second: np.ndarray, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return how much more often `first` is right than `second`, boolean arrays (rows,) over the same rows.

    `interval` is the two-sided paired bootstrap interval, `lower_bound` the one-sided bound, both at the
    bootstrap's confidence; `p_value` is McNemar's.
    """
    accuracies = resampled_accuracies(np.stack([first, second]), bootstrap)
    differences = accuracies[:, 0] - accuracies[:, 1]
    return {
        "difference": float(first.mean() - second.mean()),
        "interval": percentile_interval(differences, bootstrap.confidence),
        "lower_bound": float(np.quantile(differences, 1 - bootstrap.confidence)),
        "p_value": mcnemar(first, second),
    }


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of McNemar's exact test: are the rows that only one gets right split evenly?

    Source: McNemar 1947, exact form. Without such rows it is 1.
    """
    first_only, second_only = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    if first_only + second_only == 0:
        return 1.0
    return float(binomtest(first_only, first_only + second_only).pvalue)


def not_worse(candidate: np.ndarray, champion: np.ndarray, *, margin: float, confidence: float) -> dict[str, Any]:
    """Test that the candidate's accuracy lies above the champion's minus `margin`; with margin 0, that it is better.

    Both are boolean (rows,), true where the model is right, over the same rows. The test is Tango's score test for
    paired proportions (Tango 1998, Statistics in Medicine 17), one-sided, with half a row of continuity correction: a
    Wald interval or a plain bootstrap passes too many where the models rarely differ, while this one keeps its error
    rate at or below 1 - confidence there too, and with margin 0 it is McNemar's test.
    Returns `passed`, `difference`, `lower_bound` (one-sided, at `confidence`), `p_value` and what went into them.
    """
    rows = len(candidate)
    gained, lost = int(np.sum(candidate & ~champion)), int(np.sum(champion & ~candidate))
    p_value = float(norm.sf(_score(gained, lost, rows, -margin)))
    return {
        "passed": p_value < 1 - confidence,
        "difference": (gained - lost) / rows,
        "lower_bound": _lower_bound(gained, lost, rows, confidence),
        "p_value": p_value,
        "margin": margin,
        "confidence": confidence,
        "rows": rows,
        "only_candidate_right": gained,
        "only_champion_right": lost,
    }


def not_worse_in_macro_f1(
    labels: np.ndarray, candidate: np.ndarray, champion: np.ndarray, *, margin: float, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Test that the candidate's macro F1 lies above the champion's minus `margin`; with margin 0, that it is better.

    All three are class indices (rows,); classes are those that stand in `labels`. Rows are resampled for both models at
    once (Efron 1979), and the candidate passes where the one-sided percentile bound at `bootstrap.confidence` does. The
    p-value counts the sample itself as one of the resamples, so that it is never 0 (Davison & Hinkley 1997, eq. 4.11).
    """
    patterns, counts = np.unique(np.stack([labels, candidate, champion]), axis=1, return_counts=True)
    rows, classes = len(labels), np.unique(labels)
    drawn = np.random.default_rng(bootstrap.seed).multinomial(rows, counts / rows, size=bootstrap.samples)
    differences = _macro_f1(patterns[0], patterns[1], drawn, classes) - _macro_f1(
        patterns[0], patterns[2], drawn, classes
    )
    observed = np.atleast_2d(counts)
    difference = _macro_f1(patterns[0], patterns[1], observed, classes) - _macro_f1(
        patterns[0], patterns[2], observed, classes
    )
    p_value = float((1 + np.sum(differences <= -margin)) / (1 + bootstrap.samples))
    return {
        "passed": p_value < 1 - bootstrap.confidence,
        "difference": float(difference[0]),
        "lower_bound": float(np.quantile(differences, 1 - bootstrap.confidence)),
        "p_value": p_value,
        "margin": margin,
        "confidence": bootstrap.confidence,
        "rows": rows,
    }


def _macro_f1(labels: np.ndarray, answers: np.ndarray, counts: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the macro F1 of each sample, (samples,), whose rows are `counts` (samples, patterns) of each pattern."""
    scores = []
    for member in classes:
        actual, named = labels == member, answers == member
        hits = counts[:, actual & named].sum(axis=1)
        total = counts[:, actual].sum(axis=1) + counts[:, named].sum(axis=1)
        scores.append(2 * hits / np.maximum(total, 1))
    return np.asarray(np.mean(scores, axis=0))


def _score(gained: int, lost: int, rows: int, difference: float) -> float:
    """Return Tango's statistic (1998, eq. 4 and 5) for the hypothesis that the true difference is `difference`."""
    a, c = 2 * rows, -lost * difference * (1 - difference)
    b = -gained - lost + (2 * rows - gained + lost) * difference
    only_champion = (np.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)  # its rate, most likely under the hypothesis
    variance = rows * (2 * only_champion + difference * (1 - difference))
    excess = gained - lost - rows * difference - 0.5
    return float(excess / np.sqrt(variance)) if variance > 0 else 0.0


def _lower_bound(gained: int, lost: int, rows: int, confidence: float) -> float:
    """Return the smallest true difference that the test does not reject at `confidence`."""
    threshold, edge = norm.ppf(confidence), 1e-9
    estimate = (gained - lost) / rows

    def excess(difference: float) -> float:
        return float(_score(gained, lost, rows, difference) - threshold)

    if excess(-1 + edge) <= 0:  # so few rows that even a candidate that is always wrong is not ruled out
        return -1.0
    return float(brentq(excess, -1 + edge, max(estimate - edge, -1 + 2 * edge)))
