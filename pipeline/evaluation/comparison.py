"""Teacher, student and baselines held against each other on the same test rows."""

from typing import Any

import numpy as np

from pipeline.evaluation.figures import FIGURES, Answers
from pipeline.evaluation.significance import Bootstrap, paired_difference, percentile_interval, resampled


def figure_intervals(metric: str, counts: dict[str, np.ndarray], bootstrap: Bootstrap) -> dict[str, list[float]]:
    """Return the interval of each model's figure; `counts` is int64 (rows, k) for each, over the same rows."""
    figures = resampled(metric, np.stack(list(counts.values())), bootstrap)
    return {
        model: percentile_interval(column, bootstrap.confidence)
        for model, column in zip(counts, figures.T, strict=True)
    }


def compare(
    metric: str, counts: dict[str, np.ndarray], answers: dict[str, Answers], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Compare the student with its teacher and with every other model by the figure `metric`.

    `counts` is what each row adds to a model's figure, int64 (rows, k), `answers` what the model says, over the same
    rows.

    relative_score: student / teacher, teacher / student for a figure of which less is better.
    recovered_share: (student - undistilled) / (teacher - undistilled), None where the teacher is not the better one.
    agreement: the share of rows on which student and teacher answer alike, None where answers are numbers.
    student_minus_MODEL: a paired difference for each model.
    """
    differences = {
        f"student_minus_{model}": paired_difference(metric, counts["student"], other, bootstrap)
        for model, other in counts.items()
        if model != "student"
    }
    trio = np.stack([counts[model] for model in ("student", "teacher", "undistilled_student")])
    student, teacher, undistilled = FIGURES[metric].of(trio.sum(axis=1)).tolist()
    figures = resampled(metric, trio, bootstrap)
    sign = FIGURES[metric].sign
    recovered = (student - undistilled) / (teacher - undistilled) if sign * (teacher - undistilled) > 0 else None
    good, best = (student, teacher) if sign > 0 else (teacher, student)
    relative = _ratio(figures[:, 0], figures[:, 1]) if sign > 0 else _ratio(figures[:, 1], figures[:, 0])
    return differences | {
        "relative_score": good / best if best else 0.0,
        "relative_score_interval": percentile_interval(relative, bootstrap.confidence),
        "recovered_share": recovered,
        "recovered_share_interval": _recovered_interval(sign * figures, bootstrap.confidence)
        if recovered is not None
        else None,
        "agreement": agreement(answers["student"], answers["teacher"]),
    }


def agreement(first: Answers, second: Answers) -> float | None:
    """Return the share of rows on which two models answer alike, None where answers are numbers."""
    if np.asarray(first[0]).dtype.kind == "f":  # numbers are no choices, and never quite the same
        return None
    return float(np.mean([one == other for one, other in zip(first, second, strict=True)]))


def _recovered_interval(figures: np.ndarray, confidence: float) -> list[float]:
    student, teacher, undistilled = figures.T
    better = teacher > undistilled  # where a resample has no gap to close, there is no share of it
    return percentile_interval(_ratio((student - undistilled)[better], (teacher - undistilled)[better]), confidence)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
