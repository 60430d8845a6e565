"""The student of one task in the MLflow registry; promoted if the gate lets it. Runs every time and is idempotent.

Of a DVC experiment the run is recorded and nothing else happens: a trial registers no version and moves no alias.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from pipeline import tracking
from pipeline.files import content_hash, read_json, without_credentials, write_json, write_text
from pipeline.params import Params
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

    settings, figures = params.tasks[task], read_json(evaluation)
    paths = {"rows": rows, "corpus": corpus, "pretrained": pretrained, "teacher": teacher, "student": student}
    paths |= {"exported": exported, "evaluation": evaluation, "predictions": predictions}
    links = lineage.hashes(paths)
    behind = _behind(params, task, paths, links, pretrain_history, finetune_history, distill_history)
    if params.tasks[task].student.distill_pretrained is not None:
        behind["stages"].append(_first_training(params, task, pretrained_student, distill_pretrained_history))
    if trial := tracking.dvc_experiment():
        _record_trial(trial, task, candidate.metrics(figures), behind, lineage.tags(paths, links))
        return
    record = reports / task / "registered.json"
    graph = exported / publish.GRAPH
    models = {"teacher": teacher, "student": student}
    if graph.is_file():
        models |= {"student": exported, "student_in_pytorch": student}
    timings = _timings(params, task, record, links, tokens, models)
    code = lineage.code_revision()

    with tracking.connected() as mlflow, promotions.promotions_of(mlflow, task) as moves:
        version = publish.find_version(mlflow, task, links["student"], links["exported"])
        comparison = None if version else rivals.side_by_side(mlflow, task, predictions, rows, settings.labels)
        former = predecessor.predecessor(mlflow, task, version)
        before = _before(mlflow, params, task, former, paths, links, record)
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
    params: Params, task: str, record: Path, links: dict[str, str], tokens: Path, models: dict[str, Path]
) -> dict[str, Any]:
    """Measure the models side by side, once per student, machine and thread count; all but the teacher read its rows.

    The student is timed in the form that is served.
    """
    from pipeline.evaluation import efficiency
    from pipeline.tasks import TASKS
    from pipeline.tokenization.ragged import TokenRows

    key: dict[str, Any] = {f"{name}_sha256": links[name] for name in ("student", "exported")}
    key |= {"machine": efficiency.machine(), "threads": params.runtime.threads}
    if record.exists():
        known = read_json(record)["timings"]
        if all(known.get(name) == value for name, value in key.items()):
            return dict(known)
    print("timing teacher and student", flush=True)
    head = TASKS[params.tasks[task].type]().from_params(params.tasks[task])
    rows = {side: TokenRows.load(tokens / side / "test") for side in ("teacher", "student")}
    timed = {name: (head.load(folder), rows[name.partition("_")[0]]) for name, folder in models.items()}
    return key | efficiency.compare(timed, threads=params.runtime.threads)


def _before(
    mlflow: Any,
    params: Params,
    task: str,
    former: Any,
    paths: dict[str, Path],
    links: dict[str, str],
    record: Path,
) -> dict[str, Any] | None:
    """Return what texts about other people do to the student and did to `former`, the champion before it.

    None where there was none, or no groups of people are to be told apart. Both are asked once for an evaluation.
    """
    import numpy as np

    from pipeline.evaluation import outcome
    from pipeline.evaluation.calibration import Calibration
    from pipeline.evaluation.significance import Bootstrap
    from pipeline.registry import predecessor, publish
    from pipeline.tasks import TASKS
    from pipeline.tokenization.encoding import encode_rows
    from pipeline.tokenization.folder import load_tokenizer, read_max_length
    from pipeline.training import runtime

    section = params.tasks[task]
    if former is None or not section.evaluate.identity_groups:
        return None
    key = {"version": int(former.version), "run_id": former.run_id, "evaluation_sha256": links["evaluation"]}
    known = read_json(record).get("before") if record.exists() else None
    if known and "reason" not in known and all(known.get(name) == value for name, value in key.items()):
        return dict(known)
    runtime.prepare(params.runtime)  # as `evaluate` does, so that the student says what it said there

    def encode(folder: Path, texts: list[str]) -> Any:
        length = min(section.max_length, read_max_length(folder))
        return encode_rows(load_tokenizer(folder)[0], texts, np.zeros(len(texts), np.int64), length)

    print(f"version {former.version}, the champion before it, and the student on texts about other people", flush=True)
    served = paths["exported"] if (paths["exported"] / publish.GRAPH).is_file() else paths["student"]
    found = predecessor.people_before_and_after(
        mlflow,
        former,
        (served, Calibration.of(read_json(paths["exported"] / publish.RECORD))),
        task=TASKS[section.type]().from_params(section),
        encode=encode,
        test=paths["rows"] / "test.parquet",
        groups=section.evaluate.identity_groups,
        bootstrap=Bootstrap(section.evaluate.bootstrap_samples, section.evaluate.confidence, params.runtime.seed),
    )
    return key | outcome.rounded(found)


def _behind(
    params: Params,
    task: str,
    paths: dict[str, Path],
    links: dict[str, str],
    pretrain: Path,
    finetune: Path,
    distill: Path,
) -> dict[str, Any]:
    """Return what a candidate's run is made of whatever the gate says of it, as `record_candidate` takes it.

    The last three are what each stage left in its history file.
    """
    from pipeline.registry.publish import DatasetRecord, StageRecord

    settings = params.tasks[task]
    return {
        "stages": [
            StageRecord("pretrain", links["pretrained"], pretrain, params.pretrain.model_dump()),
            StageRecord(f"finetune@{task}", links["teacher"], finetune, settings.finetune.model_dump()),
            StageRecord(f"distill@{task}", links["student"], distill, settings.distill.model_dump()),
        ],
        "datasets": [
            DatasetRecord(settings.dataset, paths["rows"], links["rows"], "training and testing"),
            DatasetRecord(params.corpus.dataset, paths["corpus"], links["corpus"], "pretraining and transfer"),
        ],
        "artifacts": [paths["evaluation"], paths["predictions"]],
    }


def _first_training(params: Params, task: str, pretrained_student: Path, history: Path) -> Any:
    """Return the student's training before it had a task."""
    from pipeline.registry.publish import StageRecord

    section: Any = params.tasks[task].student.distill_pretrained
    return StageRecord(f"distill_pretrained@{task}", content_hash(pretrained_student), history, section.model_dump())


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
