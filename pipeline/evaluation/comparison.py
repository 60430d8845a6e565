"""Teacher, student and baselines held against each other on the same test rows."""

from typing import Any

import numpy as np

from pipeline.evaluation.significance import (
    Bootstrap,
    paired_difference,
    percentile_interval,
    resampled_accuracies,
)


def accuracy_intervals(right: dict[str, np.ndarray], bootstrap: Bootstrap) -> dict[str, list[float]]:
    """Return the interval of each model's accuracy; `right` is boolean (rows,) for each, over the same rows."""
    accuracies = resampled_accuracies(np.stack(list(right.values())), bootstrap)
    return {
        model: percentile_interval(column, bootstrap.confidence)
        for model, column in zip(right, accuracies.T, strict=True)
    }


def compare(right: dict[str, np.ndarray], predicted: dict[str, np.ndarray], bootstrap: Bootstrap) -> dict[str, Any]:
    """Compare the student with its teacher and with every other model; arrays are (rows,) over the same rows.

    relative_accuracy: student / teacher.
    recovered_share: (student - undistilled) / (teacher - undistilled), None where the teacher is not the better one.
    agreement: the share of rows on which student and teacher answer alike.
    student_minus_MODEL: a paired difference for each model.
    """
    differences = {
        f"student_minus_{model}": paired_difference(right["student"], hits, bootstrap)
        for model, hits in right.items()
        if model != "student"
    }
    trio = np.stack([right[model] for model in ("student", "teacher", "undistilled_student")])
    student, teacher, undistilled = (float(hits.mean()) for hits in trio)
    relative = resampled_accuracies(trio, bootstrap)
    recovered = (student - undistilled) / (teacher - undistilled) if teacher > undistilled else None
    return differences | {
        "relative_accuracy": student / teacher if teacher else 0.0,
        "relative_accuracy_interval": percentile_interval(_ratio(relative[:, 0], relative[:, 1]), bootstrap.confidence),
        "recovered_share": recovered,
        "recovered_share_interval": _recovered_interval(relative, bootstrap.confidence)
        if recovered is not None
        else None,
        "agreement": float(np.mean(predicted["student"] == predicted["teacher"])),
    }


def _recovered_interval(accuracies: np.ndarray, confidence: float) -> list[float]:
    student, teacher, undistilled = accuracies.T
    better = teacher > undistilled  # where a resample has no gap to close, there is no share of it
    return percentile_interval(_ratio((student - undistilled)[better], (teacher - undistilled)[better]), confidence)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
