"""Make MLflow whole: the runs behind a student, its datasets, its registered version. Idempotent by content hash."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.files import InputError, read_json, sha256_of_file
from pipeline.stage_run import OUTPUT_HASH, STAGE, figures, flatten
from pipeline.tracking import whose

STUDENT_HASH = "stillhouse.student_sha256"
EXPORTED_HASH = "stillhouse.exported_sha256"
GRAPH, RECORD = "model.onnx", "export.json"  # as pipeline/architectures/exported.py names both
OF_GRAPH = (GRAPH, RECORD)
ABOUT = (  # a registered model; it has to stay true whatever is registered later
    "Students for the task `{name}`, each distilled from a larger teacher. The version with the alias *champion* "
    "answers `stillhouse predict` and `stillhouse serve`. The page of a version has its model card, its *source run* "
    "the stages behind it. `stillhouse history {name}` says who was champion when and why."
)
REWRITTEN = ("registered_model_meta",)  # by MLflow, whenever it loads a model
STORED = "stillhouse.stored_files"  # of a version: the sha256 of each file of its run and its model, as JSON
ARCHITECTURES = Path(__file__).parents[1] / "architectures"
OWN_FAMILIES = ("bilstm",)  # of which transformers has no model, as served_model.py names them too
REQUIREMENTS = ("mlflow", "pandas", "safetensors", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class StageRecord:
    """What a training stage left behind: its name, the hash of its output, its history file, its parameters."""

    name: str
    output_hash: str
    history: Path
    params: dict[str, Any]


@dataclass(frozen=True)
class DatasetRecord:
    """A dataset behind a student: a name, a folder or file, its content hash, what it was used for."""

    name: str
    path: Path
    content_hash: str
    context: str


def find_version(mlflow: ModuleType, name: str, student_hash: str, exported_hash: str) -> Any | None:
    """Return the registered version of `name` that holds this very student, as this graph, or None."""
    versions = mlflow.MlflowClient().search_model_versions(
        f"name = '{name}' and tags.`{STUDENT_HASH}` = '{student_hash}' and tags.`{EXPORTED_HASH}` = '{exported_hash}'"
    )
    return min(versions, key=lambda version: int(version.version)) if versions else None


def record_candidate(
    mlflow: ModuleType,
    title: str,
    *,
    stages: Sequence[StageRecord],
    datasets: Sequence[DatasetRecord],
    artifacts: Sequence[Path],
    texts: dict[str, str],
    tags: dict[str, str],
    metrics: Mapping[str, float] | None = None,
) -> str:
    """Record one candidate as a parent run with a child run per training stage; return the parent's run id.

    metrics: where no version is registered, which would bring them (`register_version`).

    A stage that ran here has streamed its own run; it is adopted. One that came out of a cache, here or elsewhere,
    never ran against this MLflow, so its run is written from its history file. What an attempt that was ended half-way
    had written is gone on with.
    """
    with mlflow.start_run(run_name=title, tags=tags | whose()) as parent:
        mlflow.log_metrics(dict(metrics or {}))
        for dataset in datasets:
            mlflow.log_input(_mlflow_dataset(mlflow, dataset), context=dataset.context)
        for path in artifacts:
            mlflow.log_artifact(str(path))
        for name, text in texts.items():
            mlflow.log_text(text, name)
        for stage in stages:
            _adopt_or_write(mlflow, parent.info.experiment_id, parent.info.run_id, stage)
    return str(parent.info.run_id)


def _mlflow_dataset(mlflow: ModuleType, dataset: DatasetRecord) -> Any:
    from mlflow.data import meta_dataset, sources

    source = getattr(sources, "LocalArtifactDatasetSource")(dataset.path.as_posix())  # noqa: B009 - made at import
    return meta_dataset.MetaDataset(source, name=dataset.name, digest=dataset.content_hash[:32])  # type: ignore[abstract]


def _adopt_or_write(mlflow: ModuleType, experiment: str, parent: str, stage: StageRecord) -> None:
    client = mlflow.MlflowClient()
    matching = f"tags.`{STAGE}` = '{stage.name}' and tags.`{OUTPUT_HASH}` = '{stage.output_hash}'"
    found = client.search_runs([experiment], matching, order_by=["attributes.start_time ASC"])
    if not found:
        found = [client.get_run(_write(mlflow, stage))]
    first, *repeats = found
    other = first.data.tags.get("mlflow.parentRunId", parent)
    whole = f"attributes.run_id = '{other}' and attributes.status = 'FINISHED'"
    if other != parent and client.search_runs([experiment], whole):
        client.set_tag(parent, f"stillhouse.{stage.name.replace('@', '.')}_run", first.info.run_id)
    else:
        client.set_tag(first.info.run_id, "mlflow.parentRunId", parent)
    for repeat in repeats:
        client.set_tag(repeat.info.run_id, "stillhouse.duplicate_of", first.info.run_id)


def _write(mlflow: ModuleType, stage: StageRecord) -> str:
    tags = {STAGE: stage.name, "stillhouse.restored": "true"}
    with mlflow.start_run(run_name=stage.name, tags=tags | whose(), nested=True) as run:
        mlflow.log_params(flatten(stage.params))
        for record in read_json(stage.history):
            mlflow.log_metrics(figures(record), step=record["step"])
        mlflow.set_tag(OUTPUT_HASH, stage.output_hash)  # last: without it a run is not adopted
    return str(run.info.run_id)


def register_version(
    mlflow: ModuleType,
    name: str,
    *,
    run_id: str,
    student: Path,
    examples: Mapping[str, Sequence[str]],
    markers: Sequence[str] = (),
    metrics: Mapping[str, float] | None = None,
    description: str,
    tags: dict[str, str],
) -> Any:
    """Log the student to its run as a pyfunc and register it as a new version of `name`; return the version.

    `metrics` are those of the run and of the logged model, `description` is the version's.

    The logged model holds the plain `from_pretrained` folder under artifacts/model, with a graph in it where the
    student was exported, the code that serves it (and is its family, where transformers has none), the pinned
    requirements, a signature and `examples`, by column, of what it reads; `markers` are what each text has to hold
    once. Nothing in it is pickled. Raises InputError where the student is no model that served_model.py serves.
    """
    import pandas as pd

    family = read_json(student / "config.json").get("model_type")
    needed = (*REQUIREMENTS, "onnxruntime") if (student / GRAPH).is_file() else REQUIREMENTS
    with mlflow.start_run(run_id=run_id):
        model = mlflow.pyfunc.log_model(
            name="student",
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"model": str(student)},
            code_paths=[str(ARCHITECTURES / f"{family}.py")] if family in OWN_FAMILIES else None,
            model_config={"inputs": list(examples), "markers": list(markers)},
            signature=_signature(student, list(examples)),
            input_example=pd.DataFrame(examples),
            pip_requirements=[f"{package}=={installed_version(package).split('+')[0]}" for package in needed],
        )
        mlflow.log_metrics(dict(metrics or {}), model_id=model.model_id)
    client = mlflow.MlflowClient()
    tags = tags | {STORED: json.dumps(stored_files(mlflow, run_id, model.model_uri))}
    client.set_logged_model_tags(model.model_id, tags)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=ABOUT.format(name=name))
    version = client.create_model_version(
        name, model.model_uri, run_id=run_id, tags=tags, description=description, model_id=model.model_id
    )
    # as `mlflow.register_model` does it: without it the logged model's page says that it is not registered
    registered = [{"name": name, "version": version.version}]
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": json.dumps(registered)})
    return version


def _signature(student: Path, inputs: Sequence[str]) -> Any:
    """Return what the student takes, texts by these names, and what it answers, as its head has it."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    types = {"start": "long", "end": "long", "label": "string", "text": "string", "score": "double"}
    span = Object([Property(name, kind) for name, kind in types.items()])
    types["answer"] = "string"
    label = [ColSpec("string", "label"), ColSpec("double", "score")]
    record = student / RECORD
    if record.is_file() and read_json(record).get("thresholds"):  # as served_model.py has it
        label = [ColSpec("string", "label", required=False), label[1], ColSpec("string", "likeliest")]
    labels = Array(Object([Property(name, types[name]) for name in ("label", "score")]))
    config = read_json(student / "config.json")
    written = [ColSpec("string", purpose["answer"]) for purpose in (config.get("task_specific_params") or {}).values()]
    answers: dict[str, list[Any]] = {
        "multi_label_classification": [ColSpec(labels, "labels")],
        "SequenceClassification": label,
        "TokenClassification": [ColSpec(Array(span), "spans")],
        "QuestionAnswering": [ColSpec(types[name], name) for name in ("answer", "start", "end", "score")],
        "SentenceSimilarity": [ColSpec("double", "similarity")],
        "LMHeadModel": [ColSpec("string", "continuation")],
        "CausalLM": [ColSpec("string", "continuation")],
        "MarianMTModel": written,
        "ConditionalGeneration": written,
    }
    (architecture,) = config["architectures"]
    named = (str(config.get("problem_type")), architecture)  # of two tasks with one class the first tells them apart
    head = next((name for name in answers if any(said.endswith(name) for said in named)), None)
    if head is None:
        raise InputError(f"{student}: the model is a {architecture}, expected one for {' or '.join(answers)}")
    return ModelSignature(Schema([ColSpec("string", name) for name in inputs]), Schema(answers[head]))


def stored_folders(mlflow: ModuleType, run_id: str, model_uri: str) -> dict[str, Path]:
    """Return where the files of a version lie: those of its run and those of its model, fetched where need be."""
    download = mlflow.artifacts.download_artifacts
    return {"run": Path(download(run_id=run_id)), "model": Path(download(model_uri))}


def stored_files(mlflow: ModuleType, run_id: str, model_uri: str) -> dict[str, str]:
    """Return the sha256 of each file that is kept of a version, by `run/NAME` or `model/NAME`."""
    return {
        f"{kind}/{file.relative_to(folder).as_posix()}": sha256_of_file(file)
        for kind, folder in stored_folders(mlflow, run_id, model_uri).items()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix != ".pyc" and file.name not in REWRITTEN
    }
