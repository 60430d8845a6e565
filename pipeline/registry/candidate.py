"""What a candidate is made of, and of its evaluation and timings what the gate's limits are about and MLflow shows."""

from pathlib import Path
from typing import Any

from pipeline.evaluation.fairness import flip_rates
from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.metrics import slice_gaps
from pipeline.files import content_hash
from pipeline.params import Params, TaskParams
from pipeline.registry.gate import Costs
from pipeline.registry.publish import DatasetRecord, StageRecord

MODELS = ("teacher", "student")


def behind(
    params: Params, task: str, paths: dict[str, Path], links: dict[str, str], histories: dict[str, Path]
) -> dict[str, Any]:
    """Return what a candidate's run is made of whatever the gate says of it, as `publish.record_candidate` takes it.

    `links` are the hashes of what lies at `paths`, `histories` what each training stage left of its course.
    """
    settings = params.tasks[task]
    return {
        "stages": [
            StageRecord("pretrain", links["pretrained"], histories["pretrain"], params.pretrain.model_dump()),
            StageRecord(f"finetune@{task}", links["teacher"], histories["finetune"], settings.finetune.model_dump()),
            StageRecord(f"distill@{task}", links["student"], histories["distill"], settings.distill.model_dump()),
        ],
        "datasets": [
            DatasetRecord(settings.dataset, paths["rows"], links["rows"], "training and testing"),
            DatasetRecord(params.corpus.dataset, paths["corpus"], links["corpus"], "pretraining and transfer"),
        ],
        "artifacts": [paths["evaluation"], paths["predictions"]],
    }


def first_training(section: TaskParams, task: str, student: Path, history: Path) -> StageRecord:
    """Return the training of a student before it had a task; `student` is the folder that it left."""
    settings: Any = section.student.distill_pretrained
    return StageRecord(f"distill_pretrained@{task}", content_hash(student), history, settings.model_dump())


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
