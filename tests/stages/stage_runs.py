"""How `evaluate` and `register` are run on a tiny project, as `tiny_project` and `tiny_span_project` write it."""

from pathlib import Path
from typing import Any

from pipeline.files import read_json
from pipeline.params import Params
from pipeline.stages import evaluate, export, register


def run_evaluate(params: Params, task: str, root: Path, out: Path) -> Path:
    """Run `export` and `evaluate` on the project at `root`; return `out`, the folder of all the latter writes."""
    run_export(params, task, root)
    evaluate.run(
        params,
        task=task,
        rows=root / "rows",
        tokens=root / "tokens",
        teacher=root / "teacher",
        student=root / "student",
        exported=root / "exported",
        undistilled=root / "undistilled",
        pretrained=root / "pretrained",
        transfer=root / "transfer.parquet",
        soft_labels=root / "soft",
        out=out / "evaluation.json",
        predictions=out / "predictions.parquet",
        confusion=out / "confusion.csv",
        reliability=out / "reliability.csv",
    )
    return out


def run_export(params: Params, task: str, root: Path) -> None:
    """Run `export` on the project at `root`."""
    dev = root / "tokens" / "student" / "dev"
    export.run(params, task=task, student=root / "student", dev=dev, out=root / "exported")


def run_register(params: Params, task: str, root: Path) -> dict[str, Any]:
    """Run `register` on the project at `root`; return what the summary says of the task."""
    out = root / "reports" / task
    register.run(
        params,
        task=task,
        rows=root / "rows",
        corpus=root / "rows",
        tokens=root / "tokens",
        pretrained=root / "pretrained",
        teacher=root / "teacher",
        student=root / "student",
        exported=root / "exported",
        pretrain_history=root / "reports/pretrain/history.json",
        finetune_history=out / "finetune.json",
        pretrained_student=root / "pretrained_student",
        distill_pretrained_history=out / "distill_pretrained.json",
        distill_history=out / "distill.json",
        evaluation=out / "evaluation.json",
        predictions=out / "predictions.parquet",
        reports=root / "reports",
    )
    return dict(read_json(root / "reports/summary.json")["tasks"][task])
