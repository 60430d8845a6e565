"""The gate promotes on evidence alone: limits first, then rows, then statistics."""

from typing import Any

import numpy as np
import pytest

from pipeline.params import GateParams
from pipeline.registry.gate import Comparison, Costs, Decision, decide

ROWS = 1500
CHEAP = Costs(size=1, latency=1.0)


def gate(**changes: object) -> GateParams:
    values = {
        "rule": "not_worse",
        "metric": "accuracy",
        "margin": 0.01,
        "confidence": 0.95,
        "bootstrap_samples": 2000,
        "min_rows": 1000,
        "max_comparisons": 12,
        "max_bytes": None,
        "max_latency_milliseconds": None,
        "max_accuracy_gaps": {},
        "max_flip_rate": None,
    }
    return GateParams.model_validate(values | changes)


def answers(right: int, rows: int = ROWS) -> np.ndarray:
    """Answers to rows of class 0 of which the first `right` are right."""
    return (np.arange(rows) >= right).astype(int)


def compared(candidate: int, *champions: int, rows: int = ROWS, earlier: int = 0, **changes: Any) -> Decision:
    rivals = {version: answers(right, rows) for version, right in enumerate(champions, 1)}
    comparison = Comparison(np.zeros(rows, dtype=int), answers(candidate, rows), rivals, earlier)
    return decide(gate(**changes), comparison, CHEAP)


def test_a_model_that_minds_who_a_text_speaks_of_is_refused() -> None:
    comparison = Comparison(answers(0), answers(0), {})
    costs = Costs(size=1, latency=1.0, flip_rates={"gender": 0.04, "religion": 0.126})
    decision = decide(gate(max_flip_rate=0.1), comparison, costs)
    assert decision.alias == "challenger"
    assert decision.reason == (
        "12.6% of the texts about religion get another label when people are exchanged, the gate allows 10.0%"
    )
    assert decision.evidence["flip_rates"] == {"gender": 0.04, "religion": 0.126}
    assert decide(gate(max_flip_rate=0.126), comparison, costs).alias == "champion"
    assert decide(gate(), comparison, costs).alias == "champion"


def test_a_model_that_minds_it_more_than_its_teacher_is_refused() -> None:
    """Of two groups the one with the lower rate has the larger increase."""
    comparison = Comparison(answers(0), answers(0), {})
    rates = {"flip_rates": {"gender": 0.125, "religion": 0.5}, "teacher_flip_rates": {"gender": 0.0, "religion": 0.5}}
    decision = decide(gate(max_flip_rate_increase=0.1), comparison, Costs(size=1, latency=1.0, **rates))
    assert decision.alias == "challenger"
    assert decision.reason == (
        "12.5 points more of the texts about gender than with the teacher get another label when people are "
        "exchanged, the gate allows 10.0 points"
    )
    assert decision.evidence["teacher_flip_rates"] == rates["teacher_flip_rates"]
    assert decide(gate(max_flip_rate_increase=0.125), comparison, Costs(1, 1.0, **rates)).alias == "champion"


def test_the_first_version_is_the_champion() -> None:
    assert compared(10).alias == "champion"


def test_a_candidate_stays_challenger_where_a_champion_has_nothing_to_say_of_its_rows() -> None:
    decision = decide(gate(), Comparison(answers(0), answers(0), {}, silent=[2]), CHEAP)
    assert decision.alias == "challenger"
    assert decision.reason == "version 2 was not asked for these test rows, so that nothing can be compared"


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize(
    ("candidate", "champion", "rule", "alias"),
    [
        (1200, 1200, "not_worse", "champion"),  # the very same answers
        (1200, 1230, "not_worse", "challenger"),  # two points worse
        (1240, 1200, "better", "champion"),
        (1200, 1200, "better", "challenger"),
        (1201, 1200, "better", "challenger"),  # one row is no evidence
    ],
)
def test_statistics_decide(metric: str, candidate: int, champion: int, rule: str, alias: str) -> None:
    decision = compared(candidate, champion, rule=rule, metric=metric)
    assert decision.alias == alias
    assert decision.evidence["test"]["rows"] == ROWS


@pytest.mark.parametrize(
    ("candidate", "champion", "rule", "alias"),
    [
        (1200, 1200, "not_worse", "champion"),
        (1200, 1230, "not_worse", "challenger"),
        (1240, 1200, "better", "champion"),
        (1200, 1200, "better", "challenger"),
        (1201, 1200, "better", "challenger"),
    ],
)
def test_spans_decide(candidate: int, champion: int, rule: str, alias: str) -> None:
    def spans(right: int) -> list[list[tuple[int, int, str]]]:
        return [[(0, 3 if row < right else 2, "city")] for row in range(ROWS)]

    comparison = Comparison(spans(ROWS), spans(candidate), {1: spans(champion)})
    decision = decide(gate(rule=rule, metric="span_f1"), comparison, CHEAP)
    assert decision.alias == alias
    # one span a row is there and one is given, so F1 is the share that is right
    assert decision.evidence["test"]["difference"] == pytest.approx((candidate - champion) / ROWS)
    assert f"span_f1 {100 * (candidate - champion) / ROWS:+.2f} points on 1500 rows" in decision.reason


def test_the_evidence_holds_mcnemar_and_a_paired_bootstrap_interval() -> None:
    paired = compared(1240, 1200).evidence["test"]["paired"]
    assert paired["p_value"] == pytest.approx(2 * 0.5**40)
    assert paired["interval"][0] < 40 / ROWS < paired["interval"][1]


def test_too_few_rows_are_no_evidence() -> None:
    decision = compared(900, 100, rows=999)
    assert decision.alias == "challenger"
    assert decision.reason == "999 rows that neither model was trained on, the gate needs 1000"


def test_the_best_of_all_champions_is_the_one_to_hold_against() -> None:
    """A point less than the present champion, who is a point below the first: two points below what there was."""
    assert compared(1200, 1212, margin=0.02).alias == "champion"
    decision = compared(1200, 1224, 1212, margin=0.02)
    assert (decision.alias, decision.evidence["rival"]) == ("challenger", 1)


def test_each_comparison_on_the_same_rows_asks_for_more() -> None:
    levels = [compared(1240, 1200, earlier=earlier).evidence["test"]["confidence"] for earlier in range(12)]
    assert levels[0] == pytest.approx(0.975)
    assert sum(1 - level for level in levels) < 0.05
    assert compared(1240, 1200, earlier=11).alias == "champion"
    worn_out = compared(1240, 1200, earlier=12)
    assert worn_out.alias == "challenger"
    assert worn_out.reason == "these test rows have judged 12 candidates, the gate allows 12"


def test_limits_come_before_statistics() -> None:
    comparison = Comparison(np.zeros(ROWS, dtype=int), answers(1500), {1: answers(1)})
    costs = Costs(size=101, latency=2.5, gaps={"label": 0.125, "length": 0.3})
    found = {
        "101 bytes, the gate allows 100": {"max_bytes": 100},
        "2.50 ms at batch 1, the gate allows 2.0": {"max_latency_milliseconds": 2.0},
        "quality differs by 12.5 points between values of label, the gate allows 10.0 points": {
            "max_accuracy_gaps": {"label": 0.1}
        },
    }
    for reason, limit in found.items():
        decision = decide(gate(**limit), comparison, costs)
        assert (decision.alias, decision.reason) == ("challenger", reason)
    assert decide(gate(max_accuracy_gaps={"label": 0.125}), comparison, costs).alias == "champion"
