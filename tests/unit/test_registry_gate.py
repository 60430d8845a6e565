"""The gate promotes on evidence alone: limits first, then rows, then statistics."""

import numpy as np
import pytest

from pipeline.params import GateParams
from pipeline.registry.gate import decide

ROWS = 1500


def gate(**changes: object) -> GateParams:
    values = {
        "rule": "not_worse",
        "margin": 0.01,
        "confidence": 0.95,
        "min_rows": 1000,
        "max_bytes": None,
        "max_latency_milliseconds": None,
    }
    return GateParams.model_validate(values | changes)


def right(count: int, rows: int = ROWS) -> np.ndarray:
    return np.arange(rows) < count


def test_the_first_version_is_the_champion() -> None:
    assert decide(gate(), right(10), None, size=1, latency=1.0).alias == "champion"


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
def test_statistics_decide(candidate: int, champion: int, rule: str, alias: str) -> None:
    decision = decide(gate(rule=rule), right(candidate), right(champion), size=1, latency=1.0)
    assert decision.alias == alias
    assert decision.evidence["test"]["rows"] == ROWS


def test_too_few_rows_are_no_evidence() -> None:
    decision = decide(gate(), right(900, 999), right(100, 999), size=1, latency=1.0)
    assert decision.alias == "challenger"
    assert decision.reason == "999 rows that neither model was trained on, the gate needs 1000"


def test_limits_come_before_statistics() -> None:
    too_big = decide(gate(max_bytes=100), right(1500), right(1), size=101, latency=1.0)
    too_slow = decide(gate(max_latency_milliseconds=2.0), right(1500), right(1), size=1, latency=2.5)
    assert (too_big.alias, too_big.reason) == ("challenger", "101 bytes, the gate allows 100")
    assert (too_slow.alias, too_slow.reason) == ("challenger", "2.50 ms at batch 1, the gate allows 2.0")
