"""Whether a candidate becomes @champion: limits first, then statistics on rows that neither model was trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.evaluation import significance
from pipeline.params import GateParams


@dataclass(frozen=True)
class Decision:
    """The alias a version gets, the reason in one line, and the figures the reason rests on."""

    alias: str
    reason: str
    evidence: dict[str, Any]


def decide(
    gate: GateParams,
    candidate: np.ndarray,
    champion: np.ndarray | None,
    *,
    size: int,
    latency: float,
) -> Decision:
    """Compare a candidate with the champion.

    `candidate` and `champion` are boolean arrays over the same test rows, true where the model was right; `champion`
    is None where there is none yet. `size` is in bytes, `latency` in milliseconds at batch 1.
    """
    evidence: dict[str, Any] = {"bytes": size, "latency_milliseconds": latency}
    if gate.max_bytes is not None and size > gate.max_bytes:
        return Decision("challenger", f"{size} bytes, the gate allows {gate.max_bytes}", evidence)
    if gate.max_latency_milliseconds is not None and latency > gate.max_latency_milliseconds:
        reason = f"{latency:.2f} ms at batch 1, the gate allows {gate.max_latency_milliseconds}"
        return Decision("challenger", reason, evidence)
    if champion is None:
        return Decision("champion", "the first version", evidence)
    evidence["rows"] = len(candidate)
    if len(candidate) < gate.min_rows:
        reason = f"{len(candidate)} rows that neither model was trained on, the gate needs {gate.min_rows}"
        return Decision("challenger", reason, evidence)
    margin = gate.margin if gate.rule == "not_worse" else 0.0
    test = significance.not_worse(candidate, champion, margin=margin, confidence=gate.confidence)
    evidence["test"] = test
    claim = f"not worse than the champion by {gate.margin:.1%}" if gate.rule == "not_worse" else "better"
    difference = float(candidate.mean() - champion.mean())
    figures = f"difference {difference:+.2%} on {len(candidate)} rows, {gate.confidence:.0%} one-sided"
    if test["passed"]:
        return Decision("champion", f"{claim}: {figures}", evidence)
    return Decision("challenger", f"not shown to be {claim}: {figures}", evidence)
