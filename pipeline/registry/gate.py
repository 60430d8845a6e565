"""Whether a candidate becomes @champion: limits first, then statistics on rows that neither model was trained on.

A test set wears out. Each candidate that is held against it has a chance to pass by luck, and each one that is "not
much worse" may be followed by another, so that twelve months take the champion down by twelve margins. So the
comparisons that a test set has served are counted and share one error rate, and a candidate is held against the best
of all champions, not just the latest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.evaluation import significance
from pipeline.evaluation.figures import FIGURES, Answers, slice_metric
from pipeline.params import GateParams


@dataclass(frozen=True)
class Decision:
    """The alias a version gets, the reason in one line, and the figures the reason rests on."""

    alias: str
    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What models answer on the same rows, none of which any of them was trained on.

    actual: the truth. candidate: the new version's answers. champions: those of the present champion and of former
    ones, by version; empty where there is none yet. earlier: how many candidates these rows have judged before.
    silent: champions of which nobody knows what they answer on these rows.
    """

    actual: Answers
    candidate: Answers
    champions: Mapping[int, Answers] = field(default_factory=dict)
    earlier: int = 0
    silent: Sequence[int] = ()


@dataclass(frozen=True)
class Costs:
    """What the candidate weighs and takes, and where it is worse: bytes, milliseconds for a single row, gaps.

    gaps: by slice, how much better the figure of slices is on its best value than on its worst. flip_rates: by group of
    people, the share of texts that get another label when these people are exchanged for others; teacher_flip_rates the
    same of its teacher.
    """

    size: int
    latency: float
    gaps: Mapping[str, float] = field(default_factory=dict)
    flip_rates: Mapping[str, float] = field(default_factory=dict)
    teacher_flip_rates: Mapping[str, float] = field(default_factory=dict)


def decide(gate: GateParams, comparison: Comparison, costs: Costs) -> Decision:
    """Return what becomes of a candidate; without enough evidence it is the challenger.

    The k-th comparison on the same rows is tested at an error rate of (1 - confidence) / (k (k + 1)): over any number
    of them the rates add up to less than 1 - confidence, the chance that one of a whole sequence passes wrongly.
    """
    evidence: dict[str, Any] = {
        "bytes": costs.size,
        "latency_milliseconds": costs.latency,
        "gaps": dict(costs.gaps),
        "flip_rates": dict(costs.flip_rates),
        "teacher_flip_rates": dict(costs.teacher_flip_rates),
    }
    if exceeded := _exceeded_limit(gate, costs):
        return Decision("challenger", exceeded, evidence)
    if comparison.silent:
        reason = f"version {max(comparison.silent)} was not asked for these test rows, so that nothing can be compared"
        return Decision("challenger", reason, evidence)
    if not comparison.champions:
        return Decision("champion", "the first version", evidence)
    rows, order = len(comparison.actual), comparison.earlier + 1
    evidence |= {"rows": rows, "comparison": order}
    if rows < gate.min_rows:
        reason = f"{rows} rows that neither model was trained on, the gate needs {gate.min_rows}"
        return Decision("challenger", reason, evidence)
    if order > gate.max_comparisons:
        reason = f"these test rows have judged {comparison.earlier} candidates, the gate allows {gate.max_comparisons}"
        return Decision("challenger", reason, evidence)
    confidence = 1 - (1 - gate.confidence) / (order * (order + 1))
    tests = {
        version: _test(gate, comparison.actual, comparison.candidate, answers, confidence)
        for version, answers in comparison.champions.items()
    }
    rival = max(tests, key=lambda version: (tests[version]["p_value"], version))  # the hardest to pass
    evidence |= {"rival": rival, "test": tests[rival]}
    figure = FIGURES[gate.metric]
    margin, difference = figure.change(gate.margin, ""), figure.change(tests[rival]["difference"], digits=2)
    claim = f"not worse than version {rival} by {margin}" if gate.rule == "not_worse" else "better"
    figures = f"{gate.metric} {difference} on {rows} rows, comparison {order} on them, {confidence:.2%} one-sided"
    if tests[rival]["passed"]:
        return Decision("champion", f"{claim}: {figures}", evidence)
    return Decision("challenger", f"not shown to be {claim}: {figures}", evidence)


def _exceeded_limit(gate: GateParams, costs: Costs) -> str | None:
    if gate.max_bytes is not None and costs.size > gate.max_bytes:
        return f"{costs.size} bytes, the gate allows {gate.max_bytes}"
    if gate.max_latency_milliseconds is not None and costs.latency > gate.max_latency_milliseconds:
        return f"{costs.latency:.2f} ms at batch 1, the gate allows {gate.max_latency_milliseconds}"
    for heading, allowed in gate.max_accuracy_gaps.items():
        if costs.gaps[heading] > allowed:
            figure = FIGURES[slice_metric(gate.metric)]
            gap, limit = figure.change(costs.gaps[heading], ""), figure.change(allowed, "")
            return f"quality differs by {gap} between values of {heading}, the gate allows {limit}"
    if gate.max_flip_rate is not None:
        group, found = max(costs.flip_rates.items(), key=lambda item: item[1])
        if found > gate.max_flip_rate:
            shown = FIGURES["flip_rate"].shown
            return (
                f"{shown(found)} of the texts about {group} get another label when people are exchanged, the gate "
                f"allows {shown(gate.max_flip_rate)}"
            )
    if gate.max_flip_rate_increase is not None:
        increases = {group: rate - costs.teacher_flip_rates[group] for group, rate in costs.flip_rates.items()}
        group, found = max(increases.items(), key=lambda item: item[1])
        if found > gate.max_flip_rate_increase:
            change = FIGURES["flip_rate"].change
            return (
                f"{change(found, '')} more of the texts about {group} than with the teacher get another label when "
                f"people are exchanged, the gate allows {change(gate.max_flip_rate_increase, '')}"
            )
    return None


def _test(
    gate: GateParams, actual: Answers, candidate: Answers, champion: Answers, confidence: float
) -> dict[str, Any]:
    added, champions = (FIGURES[gate.metric].counts(actual, answers) for answers in (candidate, champion))
    margin = gate.margin if gate.rule == "not_worse" else 0.0
    bootstrap = significance.Bootstrap(gate.bootstrap_samples, confidence, seed=0)
    if gate.metric != "accuracy":
        return significance.not_worse_by_bootstrap(gate.metric, added, champions, margin=margin, bootstrap=bootstrap)
    right, champion_right = added[:, 0] > 0, champions[:, 0] > 0
    return significance.not_worse(right, champion_right, margin=margin, confidence=confidence) | {
        "paired": significance.paired_difference(gate.metric, added, champions, bootstrap)
    }
