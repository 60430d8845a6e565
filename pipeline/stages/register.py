"""The student of one task in the MLflow registry; promoted if the gate lets it. Runs every time and is idempotent.

Of a DVC experiment the run is recorded and nothing else happens: a trial registers no version and moves no alias.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import tracking
from pipeline.files import read_json, without_credentials, write_json, write_text
from pipeline.params import Params, TaskParams
from pipeline.stages.command import main

DVC_EXPERIMENT = "stillhouse.experiment"  # of a trial's run: what DVC calls it


def run(
    params: Params,
    *,
    task: str,
    rows: Path,
    corpus: Path,
    tokens: Path,
    pretrained: Path,
    teacher: Path,
    student: Path,
    exported: Path,
    pretrained_student: Path,
    pretrain_history: Path,
    finetune_history: Path,
    distill_pretrained_history: Path,
    distill_history: Path,
    evaluation: Path,
    predictions: Path,
    reports: Path,
) -> None:
    """Publish, gate, time and report the student of `task`."""
    from pipeline.registry import candidate, gate, lineage, model_card, predecessor, promotions, publish, rivals
    from pipeline.tasks import TASKS

    settings, figures = params.tasks[task], read_json(evaluation)
    paths = {"rows": rows, "corpus": corpus, "pretrained": pretrained, "teacher": teacher, "student": student}
    paths |= {"exported": exported, "evaluation": evaluation, "predictions": predictions}
    links = lineage.hashes(paths)
    histories = {"pretrain": pretrain_history, "finetune": finetune_history, "distill": distill_history}
    behind = candidate.behind(params, task, paths, links, histories)
    if settings.student.distill_pretrained is not None:
        trained = candidate.first_training(settings, task, pretrained_student, distill_pretrained_history)
        behind["stages"].append(trained)
    if trial := tracking.dvc_experiment():
        _record_trial(trial, task, candidate.metrics(figures), behind, lineage.tags(paths, links))
        return
    record = reports / task / "registered.json"
    graph = exported / publish.GRAPH
    models = {"teacher": teacher, "student": student}
    if graph.is_file():
        models |= {"student": exported, "student_in_pytorch": student}
    known = read_json(record) if record.exists() else {}
    head = TASKS[settings.type]().from_params(settings)
    timings = _timings(params, head, known.get("timings", {}), links, tokens, models)
    code = lineage.code_revision()

    with tracking.connected() as mlflow, promotions.promotions_of(mlflow, task) as moves:
        version = publish.find_version(mlflow, task, links["student"], links["exported"])
        comparison = None if version else rivals.side_by_side(mlflow, task, predictions, rows, settings.labels)
        former = predecessor.predecessor(mlflow, task, version)
        before = predecessor.before_and_after(
            mlflow, former, params, task, paths, links, known.get("before"), head, partial(_encoded, settings)
        )
        card = model_card.model_card(task, figures, before, dataset=settings.dataset, hashes=links, code=code)
        if comparison is not None:
            served = graph if graph.is_file() else student / "model.safetensors"
            decision = gate.decide(settings.gate, comparison, candidate.costs(served, timings, figures))
            decided, tags = promotions.decision_text(decision), lineage.tags(paths, links)
            metrics = candidate.metrics(figures) | candidate.speeds(timings)
            run_id = publish.record_candidate(
                mlflow,
                f"{task} {links['student'][:8]}",
                **behind,
                texts={
                    **lineage.project_files(),
                    rivals.TRAINING_ROWS: "\n".join(rivals.training_rows(rows)) + "\n",
                    promotions.DECISION: decided,
                },
                tags=tags,
            )
            markers = params.datasets[settings.dataset].markers
            tags |= rivals.decision_tags(decision) | {publish.STUDENT_HASH: links["student"]}
            tags |= {predecessor.CHAMPION_BEFORE: str(former.version)} if former else {}
            version = _register(mlflow, task, run_id, student, exported, rows, card, metrics, tags, markers)
            moves.decide(version, decided)
            print(f"{task} version {version.version} is @{decision.alias}: {decision.reason}", flush=True)
        registered = _as_registered(mlflow, task, version)
    write_text(reports / task / "model_card.md", card)
    write_json(record, {"registered": registered, "timings": timings, "lineage": links, "before": before})
    _report(params, reports, {f"register@{task}": list(paths.values())})


def _timings(
    params: Params,
    head: Any,
    known: dict[str, Any],
    links: dict[str, str],
    tokens: Path,
    models: dict[str, Path],
) -> dict[str, Any]:
    """Measure the models side by side, once per student, machine and thread count; all but the teacher read its rows.

    The student is timed in the form that is served. `known`: what was measured last.
    """
    from pipeline.evaluation import efficiency
    from pipeline.tokenization.ragged import TokenRows

    key: dict[str, Any] = {f"{name}_sha256": links[name] for name in ("student", "exported")}
    key |= {"machine": efficiency.machine(), "threads": params.runtime.threads}
    if all(known.get(name) == value for name, value in key.items()):
        return known
    print("timing teacher and student", flush=True)
    rows = {side: TokenRows.load(tokens / side / "test") for side in ("teacher", "student")}
    timed = {name: (head.load(folder), rows[name.partition("_")[0]]) for name, folder in models.items()}
    return key | efficiency.compare(timed, threads=params.runtime.threads)


def _encoded(section: TaskParams, folder: Path, texts: list[str]) -> Any:
    """Return token rows of the texts as the model in `folder` reads them."""
    import numpy as np

    from pipeline.tokenization.encoding import encode_rows
    from pipeline.tokenization.folder import load_tokenizer, read_max_length

    length = min(section.max_length, read_max_length(folder))
    return encode_rows(load_tokenizer(folder)[0], texts, np.zeros(len(texts), np.int64), length)


def _as_registered(mlflow: Any, task: str, version: Any) -> dict[str, Any]:
    """Return what the reports say of a version; its aliases as they are now, not as they were when it was made."""
    aliases = mlflow.MlflowClient().get_model_version(task, version.version).aliases
    return {
        "name": task,
        "version": int(version.version),
        "aliases": [str(alias) for alias in aliases],
        "decision": version.tags["stillhouse.decision"],
        "run_id": version.run_id,
        "tracking_uri": without_credentials(mlflow.get_tracking_uri()),
    }


def _record_trial(
    trial: str, task: str, metrics: dict[str, float], behind: dict[str, Any], tags: dict[str, str]
) -> None:
    """Record the run of the DVC experiment `trial`; it is not timed, since experiments run side by side."""
    from pipeline.registry import lineage, publish

    with tracking.connected() as mlflow:
        texts, tags = lineage.project_files(), tags | {DVC_EXPERIMENT: trial}
        publish.record_candidate(mlflow, f"{task} {trial}", **behind, metrics=metrics, texts=texts, tags=tags)
    print(
        f"{task}: recorded in MLflow as experiment {trial}, nothing is registered; "
        f"`dvc exp apply {trial}` and `make run` register it",
        flush=True,
    )


def _register(
    mlflow: Any,
    task: str,
    run_id: str,
    student: Path,
    exported: Path,
    rows: Path,
    card: str,
    metrics: dict[str, float],
    tags: dict[str, str],
    markers: list[str],
) -> Any:
    """Register the student with its graph and its card inside; its alias is moved by the log of such moves."""
    from pipeline.registry import model_card, publish, rivals

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        shutil.copytree(student, folder)
        for name in publish.OF_GRAPH:
            if (exported / name).is_file():
                shutil.copyfile(exported / name, folder / name)
        write_text(folder / "README.md", card)
        return publish.register_version(
            mlflow,
            task,
            run_id=run_id,
            student=folder,
            examples=rivals.example_rows(rows),
            markers=markers,
            metrics=metrics,
            description=model_card.without_front_matter(card),
            tags=tags,
        )


def _report(params: Params, reports: Path, reads: dict[str, list[Path]]) -> None:
    """Rebuild the closing table's file and the page from what every task left, one writer at a time.

    `reads`: what this stage does, which does not stand in dvc.lock before its first end.
    """
    from filelock import FileLock

    from pipeline.evaluation import dag, page, report

    Path(".stillhouse").mkdir(exist_ok=True)
    with FileLock(".stillhouse/report.lock"):
        summary = report.summary(reports, list(params.tasks))
        stages = dag.read_stages(Path("dvc.lock"), [f"register@{name}" for name in summary["tasks"]], reads)
        write_json(reports / "summary.json", summary)
        write_text(reports / "index.html", page.index_page(reports, params, summary, stages))


if __name__ == "__main__":
    main(run)
