"""Intervals that hold what they promise, and gate rules whose error rate is what they say."""

import bisect

import numpy as np
import pytest
from scipy.stats import binom, norm

from pipeline.evaluation import significance
from pipeline.evaluation.comparison import compare, figure_intervals
from pipeline.evaluation.figures import FIGURES, Answers
from pipeline.evaluation.significance import (
    Bootstrap,
    mcnemar,
    not_worse,
    not_worse_by_bootstrap,
    paired_difference,
    resampled,
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


def accuracy_counts(right: np.ndarray) -> np.ndarray:
    return FIGURES["accuracy"].counts(np.ones(right.shape[-1], dtype=int), right.astype(int))


def spans_of_chance(random: np.random.Generator, rows: int, share: float) -> tuple[Answers, Answers]:
    """Return the spans of texts, one to three each, and answers that have each of them right with chance `share`."""
    actual = [[(4 * place, 4 * place + 2, "ab"[place % 2]) for place in range(1 + row % 3)] for row in range(rows)]
    answers = [[(start, end + (random.random() > share), label) for start, end, label in row] for row in actual]
    return actual, answers


def test_accuracies_are_those_of_the_plain_pattern_bootstrap_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns of right and wrong alone, drawn in one go: figures that were measured that way stay as they are."""
    random = np.random.default_rng(7)
    right = random.random((5, 700)) < np.array([[0.9], [0.85], [0.8], [0.5], [0.84]])
    patterns, counts = np.unique(right, axis=1, return_counts=True)
    drawn = np.random.default_rng(BOOTSTRAP.seed).multinomial(700, counts / 700, size=BOOTSTRAP.samples)
    expected = drawn @ patterns.T / 700
    added = np.stack([accuracy_counts(model) for model in right])
    assert (resampled("accuracy", added, BOOTSTRAP) == expected).all()
    monkeypatch.setattr(significance, "BLOCK", 7 * len(patterns))  # seven samples at a time
    assert (resampled("accuracy", added, BOOTSTRAP) == expected).all()


@pytest.mark.parametrize("metric", ["macro_f1", "span_f1"])
def test_figures_of_patterns_are_those_of_drawn_rows(metric: str) -> None:
    random, rows = np.random.default_rng(2), 60
    actual, answers = spans_of_chance(random, rows, 0.7)
    if metric == "macro_f1":
        actual, answers = np.arange(rows) % 3, np.where(random.random(rows) < 0.7, np.arange(rows) % 3, 0)
    counts = FIGURES[metric].counts(actual, answers)
    by_pattern = resampled(metric, counts[None], Bootstrap(20000, 0.95, 0))[:, 0]
    by_row = FIGURES[metric].of(counts[random.integers(0, rows, (20000, rows))].sum(axis=1))
    assert by_pattern.mean() == pytest.approx(by_row.mean(), abs=0.002)
    assert by_pattern.std() == pytest.approx(by_row.std(), rel=0.05)


def test_resampling_patterns_equals_resampling_rows() -> None:
    first, second = pair(60, 15, 5, 20)
    right = np.stack([first, second])
    by_pattern = resampled("accuracy", np.stack([accuracy_counts(model) for model in right]), Bootstrap(20000, 0.95, 0))
    rows = np.random.default_rng(1).integers(0, 100, size=(20000, 100))
    by_row = right[:, rows].mean(axis=2).T
    assert by_pattern.mean(axis=0) == pytest.approx(by_row.mean(axis=0), abs=0.002)
    assert np.cov(by_pattern.T) == pytest.approx(np.cov(by_row.T), rel=0.05)


def test_intervals_are_the_same_for_the_same_seed_and_hold_the_accuracy() -> None:
    first, _ = pair(800, 20, 0, 180)
    counts = {"model": accuracy_counts(first)}
    low, high = figure_intervals("accuracy", counts, BOOTSTRAP)["model"]
    assert [low, high] == figure_intervals("accuracy", counts, BOOTSTRAP)["model"]
    half_width = 1.96 * np.sqrt(0.82 * 0.18 / 1000)
    assert (low, high) == pytest.approx((0.82 - half_width, 0.82 + half_width), abs=0.003)


def test_paired_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random, truth, covered, above = np.random.default_rng(5), 0.02, 0, 0
    for _ in range(400):
        first, second = map(accuracy_counts, drawn_pair(random, 1000, truth, 0.12))
        found = paired_difference("accuracy", first, second, Bootstrap(400, 0.95, 1))
        covered += found["interval"][0] <= truth <= found["interval"][1]
        above += found["lower_bound"] > truth
    assert 0.91 <= covered / 400 <= 0.98
    assert above / 400 <= 0.08


def test_paired_spans_by_hand() -> None:
    actual, better = spans_of_chance(np.random.default_rng(4), 300, 0.9)
    _, worse = spans_of_chance(np.random.default_rng(5), 300, 0.7)
    first, second = (FIGURES["span_f1"].counts(actual, answers) for answers in (better, worse))
    found = paired_difference("span_f1", first, second, BOOTSTRAP)
    # as many spans are given as there are, so F1 is the share that is right
    assert found["difference"] == pytest.approx((first[:, 0].sum() - second[:, 0].sum()) / 600)
    assert 0 < found["lower_bound"] < found["difference"] < found["interval"][1]
    assert found["p_value"] == 2 / (BOOTSTRAP.samples + 1)  # no resample is beyond 0
    assert paired_difference("span_f1", first, first, BOOTSTRAP)["p_value"] == 1.0


@pytest.mark.parametrize(("margin", "passed"), [(0.0, False), (0.1, True)])
def test_not_worse_by_bootstrap_asks_the_margin(margin: float, passed: bool) -> None:
    counts = FIGURES["span_f1"].counts(*spans_of_chance(np.random.default_rng(4), 300, 0.9))
    worse = counts.copy()
    worse[:10, 0] = 0  # some 20 of 600 spans
    for candidate in (counts, worse):
        found = not_worse_by_bootstrap("span_f1", candidate, counts, margin=margin, bootstrap=BOOTSTRAP)
        assert (found["passed"], found["rows"]) == (passed, 300)
        assert found["passed"] == (found["lower_bound"] > -margin)


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
    counts = {model: FIGURES["accuracy"].counts(labels, answers) for model, answers in predicted.items()}
    found = compare("accuracy", counts, predicted, BOOTSTRAP)
    assert found["relative_score"] == pytest.approx(8 / 9)
    assert found["recovered_share"] == pytest.approx(3 / 4)
    assert found["agreement"] == pytest.approx(0.9)
    assert found["student_minus_undistilled_student"]["difference"] == pytest.approx(0.3)
    low, high = found["recovered_share_interval"]
    assert low <= 3 / 4 <= high
    assert set(found) >= {"student_minus_teacher", "relative_score_interval"}


def test_without_a_better_teacher_nothing_is_recovered() -> None:
    predicted = {name: np.array([0, 1]) for name in ("teacher", "student", "undistilled_student")}
    counts = {name: FIGURES["accuracy"].counts(np.zeros(2), answers) for name, answers in predicted.items()}
    found = compare("accuracy", counts, predicted, BOOTSTRAP)
    assert found["recovered_share"] is None
    assert found["recovered_share_interval"] is None


def test_spans_are_compared_row_by_row() -> None:
    actual = [[(0, 2, "a")], [(0, 2, "a"), (3, 5, "b")], [], [(0, 2, "b")]]
    answers: dict[str, Answers] = {
        "teacher": actual,
        "student": [[(0, 2, "a")], [(0, 2, "a")], [], [(0, 2, "a")]],
        "undistilled_student": [[], [(0, 2, "a")], [], []],
    }
    counts = {model: FIGURES["span_f1"].counts(actual, said) for model, said in answers.items()}
    found = compare("span_f1", counts, answers, BOOTSTRAP)
    student, undistilled = 2 * 2 / (3 + 4), 2 * 1 / (1 + 4)
    assert found["relative_score"] == pytest.approx(student)
    assert found["recovered_share"] == pytest.approx((student - undistilled) / (1 - undistilled))
    assert found["agreement"] == 0.5
    assert found["student_minus_teacher"]["difference"] == pytest.approx(student - 1)
