"""Intervals that hold what they promise, and gate rules whose error rate is what they say."""

import bisect

import numpy as np
import pytest
from scipy.stats import binom, norm

from pipeline.evaluation.comparison import accuracy_intervals, compare
from pipeline.evaluation.significance import (
    Bootstrap,
    mcnemar,
    not_worse,
    paired_difference,
    resampled_accuracies,
)

BOOTSTRAP = Bootstrap(samples=2000, confidence=0.95, seed=3)


def pair(both: int, first_only: int, second_only: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, first_only, second_only, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def drawn_pair(
    random: np.random.Generator, rows: int, difference: float, disagreement: float
) -> tuple[np.ndarray, np.ndarray]:
    shares = [0.7, (disagreement + difference) / 2, (disagreement - difference) / 2, 0.3 - disagreement]
    return pair(*random.multinomial(rows, shares))


def test_resampling_patterns_equals_resampling_rows() -> None:
    first, second = pair(60, 15, 5, 20)
    right = np.stack([first, second])
    by_pattern = resampled_accuracies(right, Bootstrap(20000, 0.95, 0))
    rows = np.random.default_rng(1).integers(0, 100, size=(20000, 100))
    by_row = right[:, rows].mean(axis=2).T
    assert by_pattern.mean(axis=0) == pytest.approx(by_row.mean(axis=0), abs=0.002)
    assert np.cov(by_pattern.T) == pytest.approx(np.cov(by_row.T), rel=0.05)


def test_intervals_are_the_same_for_the_same_seed_and_hold_the_accuracy() -> None:
    first, _ = pair(800, 20, 0, 180)
    low, high = accuracy_intervals({"model": first}, BOOTSTRAP)["model"]
    assert [low, high] == accuracy_intervals({"model": first}, BOOTSTRAP)["model"]
    half_width = 1.96 * np.sqrt(0.82 * 0.18 / 1000)
    assert (low, high) == pytest.approx((0.82 - half_width, 0.82 + half_width), abs=0.003)


def test_paired_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random, truth, covered, above = np.random.default_rng(5), 0.02, 0, 0
    for _ in range(400):
        found = paired_difference(*drawn_pair(random, 1000, truth, 0.12), Bootstrap(400, 0.95, 1))
        covered += found["interval"][0] <= truth <= found["interval"][1]
        above += found["lower_bound"] > truth
    assert 0.91 <= covered / 400 <= 0.98
    assert above / 400 <= 0.08


def test_mcnemar_by_hand() -> None:
    assert mcnemar(*pair(10, 3, 0, 2)) == pytest.approx(2 * 0.5**3)
    assert mcnemar(*pair(10, 1, 1, 0)) == 1.0
    assert mcnemar(*pair(10, 0, 0, 3)) == 1.0


def test_not_worse_by_hand() -> None:
    found = not_worse(*pair(1200, 40, 20, 240), margin=0.0, confidence=0.95)
    # with margin 0 Tango's statistic is McNemar's: (40 - 20 - 1/2) / sqrt(40 + 20)
    assert found["p_value"] == pytest.approx(norm.sf(19.5 / np.sqrt(60)))
    assert found["passed"] and found["lower_bound"] > 0
    assert found["difference"] == pytest.approx(20 / 1500)


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.05])
@pytest.mark.parametrize(
    "counts", [(900, 30, 40, 30), (950, 5, 15, 30), (700, 60, 30, 210), (0, 50, 0, 0), (99, 0, 0, 1)]
)
def test_the_decision_agrees_with_the_bound(counts: tuple[int, int, int, int], margin: float) -> None:
    found = not_worse(*pair(*counts), margin=margin, confidence=0.95)
    assert found["passed"] == (found["lower_bound"] > -margin)


def pass_rate(rows: int, margin: float, difference: float, disagreement: float) -> float:
    """The exact chance that a candidate passes whose true difference from the champion is `difference`.

    For each number of rows that only the champion gets right, a candidate passes from some number of gained rows on.
    """
    gain, loss = (disagreement + difference) / 2, (disagreement - difference) / 2
    most = int(rows * disagreement + 8 * np.sqrt(rows * disagreement))
    rate = 0.0
    for lost in range(most):
        enough = bisect.bisect_left(
            range(most),
            True,
            key=lambda gained: not_worse(
                *pair(0, gained, lost, max(rows - gained - lost, 0)), margin=margin, confidence=0.95
            )["passed"],
        )
        rate += binom.pmf(lost, rows, loss) * binom.sf(enough - 1, rows - lost, gain / (1 - loss))
    return float(rate)


@pytest.mark.parametrize("rows", [1000, 1565])
@pytest.mark.parametrize(("margin", "disagreement"), [(0.01, 0.02), (0.01, 0.1), (0.0, 0.02), (0.0, 0.1)])
def test_error_rate_at_the_edge_is_at_most_five_percent(rows: int, margin: float, disagreement: float) -> None:
    """At a true difference of exactly -margin (0 for `better`: two equal models) a pass is an error."""
    assert 0.02 < pass_rate(rows, margin, -margin, disagreement) <= 0.05


def test_error_rate_in_a_simulation() -> None:
    random = np.random.default_rng(11)
    pairs = [drawn_pair(random, 1565, -0.01, 0.1) for _ in range(1000)]
    passed = np.mean([not_worse(*drawn, margin=0.01, confidence=0.95)["passed"] for drawn in pairs])
    assert passed <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)


def test_an_equal_candidate_that_mostly_agrees_passes_more_often_than_not() -> None:
    assert pass_rate(1565, 0.01, 0.0, 0.03) > 0.5


def test_a_twin_of_the_champion_passes_and_a_clearly_worse_one_does_not() -> None:
    champion, _ = pair(850, 0, 0, 150)
    assert not_worse(champion, champion, margin=0.01, confidence=0.95)["passed"]
    assert not not_worse(champion, champion, margin=0.0, confidence=0.95)["passed"]
    assert not not_worse(*pair(820, 0, 30, 150), margin=0.01, confidence=0.95)["passed"]


def test_a_single_row_is_evidence_of_nothing() -> None:
    assert not not_worse(*pair(0, 1, 0, 0), margin=0.01, confidence=0.95)["passed"]


def test_compare_by_hand() -> None:
    labels = np.zeros(10, dtype=int)
    predicted = {
        "teacher": np.array([0] * 9 + [1]),
        "student": np.array([0] * 8 + [1, 1]),
        "undistilled_student": np.array([0] * 5 + [1] * 5),
    }
    right = {model: answers == labels for model, answers in predicted.items()}
    found = compare(right, predicted, BOOTSTRAP)
    assert found["relative_accuracy"] == pytest.approx(8 / 9)
    assert found["recovered_share"] == pytest.approx(3 / 4)
    assert found["agreement"] == pytest.approx(0.9)
    assert found["student_minus_undistilled_student"]["difference"] == pytest.approx(0.3)
    low, high = found["recovered_share_interval"]
    assert low <= 3 / 4 <= high
    assert set(found) >= {"student_minus_teacher", "relative_accuracy_interval"}


def test_without_a_better_teacher_nothing_is_recovered() -> None:
    right = {name: np.array([True, False]) for name in ("teacher", "student", "undistilled_student")}
    predicted = {name: np.array([0, 1]) for name in right}
    found = compare(right, predicted, BOOTSTRAP)
    assert found["recovered_share"] is None
    assert found["recovered_share_interval"] is None
