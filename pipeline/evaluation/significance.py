"""What a difference between models is worth, given that they were tried on finitely many rows.

All models answer the same rows, so rows are resampled for all of them at once: that a row is hard for both is no
evidence for either.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from pipeline.evaluation.figures import FIGURES

BLOCK = 2**22  # drawn counts held at a time, 32 MiB of them


@dataclass(frozen=True)
class Bootstrap:
    """How often rows are resampled, from which seed, and how much of what comes out an interval has to hold."""

    samples: int
    confidence: float
    seed: int


def resampled(metric: str, counts: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    """Return every model's figure `metric` on resamples of the rows with replacement, shape (samples, models).

    `counts` is int64 (models, rows, k), what each row adds to the figure. Source: Efron 1979. Rows to which every model
    adds the same are exchangeable, so drawing how often each pattern occurs (a multinomial) is the same bootstrap
    without touching single rows.
    """
    models, rows, width = counts.shape
    patterns, times = np.unique(counts.swapaxes(0, 1).reshape(rows, -1), axis=0, return_counts=True)
    generator, block = np.random.default_rng(bootstrap.seed), max(1, BLOCK // len(patterns))
    sums = [
        generator.multinomial(rows, times / rows, size=min(block, bootstrap.samples - start)) @ patterns
        for start in range(0, bootstrap.samples, block)
    ]
    return FIGURES[metric].of(np.concatenate(sums).reshape(-1, models, width))


def percentile_interval(values: np.ndarray, confidence: float) -> list[float]:
    """Return the two-sided percentile interval of bootstrap values, shape (samples,)."""
    return [float(bound) for bound in np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])]


def paired_difference(metric: str, first: np.ndarray, second: np.ndarray, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return by how much `first` is better than `second` in the figure `metric`, whichever direction is better.

    Both are int64 (rows, k), what each of the same rows adds to the figure. `interval` is the two-sided paired
    bootstrap interval, `lower_bound` the one-sided bound, both at the bootstrap's confidence. `p_value` is McNemar's
    for accuracy; for another figure twice the share of resamples beyond 0, on the side that has fewer.
    """
    differences = _differences(metric, first, second, bootstrap)
    return {
        "difference": _difference(metric, first, second),
        "interval": percentile_interval(differences, bootstrap.confidence),
        "lower_bound": float(np.quantile(differences, 1 - bootstrap.confidence)),
        "p_value": mcnemar(first[:, 0] > 0, second[:, 0] > 0)
        if metric == "accuracy"
        else min(1.0, 2 * min(_share(differences <= 0), _share(differences >= 0))),
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


def not_worse_by_bootstrap(
    metric: str, candidate: np.ndarray, champion: np.ndarray, *, margin: float, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Test that the candidate is worse than the champion in the figure `metric` by less than `margin`; at 0, better.

    Both are int64 (rows, k), what each of the same rows adds to the figure. Rows are resampled for both models at once
    (Efron 1979), and the candidate passes where the one-sided percentile bound at `bootstrap.confidence` does.
    """
    differences = _differences(metric, candidate, champion, bootstrap)
    p_value = _share(differences <= -margin)
    return {
        "passed": p_value < 1 - bootstrap.confidence,
        "difference": _difference(metric, candidate, champion),
        "lower_bound": float(np.quantile(differences, 1 - bootstrap.confidence)),
        "p_value": p_value,
        "margin": margin,
        "confidence": bootstrap.confidence,
        "rows": len(candidate),
    }


def _differences(metric: str, first: np.ndarray, second: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    figures = resampled(metric, np.stack([first, second]), bootstrap)
    return FIGURES[metric].sign * np.asarray(figures[:, 0] - figures[:, 1])


def _difference(metric: str, first: np.ndarray, second: np.ndarray) -> float:
    figure = FIGURES[metric]
    return figure.sign * float(figure.of(first.sum(axis=0)) - figure.of(second.sum(axis=0)))


def _share(beyond: np.ndarray) -> float:
    """Return the share of resamples `beyond` a value, the sample itself counted as one of them, so that it is never 0.

    Source: Davison & Hinkley 1997, equation 4.11.
    """
    return float((1 + np.sum(beyond)) / (1 + len(beyond)))


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
