"""What of a candidate's evaluation and timings the gate's limits are about, and what of them MLflow shows."""

from pathlib import Path
from typing import Any

from pipeline.evaluation.fairness import flip_rates
from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.metrics import slice_gaps
from pipeline.registry.gate import Costs

MODELS = ("teacher", "student")


def costs(served: Path, timings: dict[str, Any], figures: dict[str, Any]) -> Costs:
    """Return what the gate's limits are about; `served` is the file that holds the weights that answer."""
    return Costs(
        size=served.stat().st_size,
        latency=timings["student"]["latency_milliseconds"],
        gaps=slice_gaps(figures["slices"], "student"),
        flip_rates=flip_rates(figures.get("counterfactuals", {}), "student"),
        teacher_flip_rates=flip_rates(figures.get("counterfactuals", {}), "teacher"),
    )


def metrics(figures: dict[str, Any]) -> dict[str, float]:
    """Return the figures of evaluation.json by the names that MLflow shows."""
    metric = figures["metric"]
    found = {f"{who}_{name}": float(figures[who][name]) for who in MODELS for name in FIGURES if name in figures[who]}
    found |= {f"{name}_{metric}": float(value[metric]) for name, value in figures["baselines"].items()}
    for who in MODELS:
        rates = flip_rates(figures.get("counterfactuals", {}), who)
        found |= {f"{who}_flip_rate_{group}": rate for group, rate in rates.items()}
    return found | {"relative_score": float(figures["comparison"]["relative_score"])}


def speeds(timings: dict[str, Any]) -> dict[str, float]:
    """Return the throughput of teacher and student by the names that MLflow shows."""
    return {f"{who}_rows_per_second": float(timings[who]["rows_per_second"]) for who in MODELS}
