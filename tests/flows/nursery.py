"""A checkout that is refreshed: made-up stages by the names that matter, raw data that change, a champion in MLflow."""

import shutil
import subprocess
from pathlib import Path

from tests.flows.conftest import PROJECT, run

# each leaves a line in the file that NURSERY names: in a copy of the checkout they write to the same one
STAGES = {
    "ingest": """\
def run(params: Params, *, dataset: str, path: Path, out: Path) -> None:
    note("ingest", dataset)
    write_text(out, path.read_text())
""",
    "validate": """\
def run(params: Params, *, dataset: str, rows: Path, out: Path) -> None:
    note("validate", dataset)
    texts = rows.read_text().splitlines()
    if "rotten" in texts:
        raise InputError(f"{rows}: check taste: expected no rotten row, found one")
    splits = {"train": texts[::2], "dev": texts[1::4], "test": texts[3::4]}
    with replacing(out) as draft:
        draft.mkdir()
        for split, part in splits.items():
            columns = {"id": part, "text": part, "label": ["positive"] * len(part)}
            pq.write_table(pa.table(columns | {"pair": pa.nulls(len(part), pa.string())}), draft / f"{split}.parquet")
""",
    "train": """\
def run(params: Params, *, task: str, rows: Path, more: Path, out: Path) -> None:
    note("train", task)
    print(f"train@{task} at work", flush=True)
    texts = [text for part in (rows, more) for text in pq.read_table(part / "train.parquet")["text"].to_pylist()]
    time.sleep(sum(float(text.split()[1]) for text in texts if text.startswith("sleep ")))
    write_text(out, "\\n".join(texts))
""",
    "register": """\
def run(params: Params, *, task: str, student: Path, rows: Path, record: Path) -> None:
    note("register", task)
    if record.exists() and record.read_text() == student.read_text():
        return
    from pipeline import tracking

    with tracking.connected() as mlflow, mlflow.start_run() as made:
        client = mlflow.MlflowClient()
        mlflow.log_artifact("dvc.lock")
        if not client.search_registered_models(f"name = '{task}'"):
            client.create_registered_model(task)
        run, tags = made.info.run_id, {"stillhouse.rows_path": str(rows)}
        version = client.create_model_version(task, f"runs:/{run}/none", run_id=run, tags=tags)
        client.set_registered_model_alias(task, "champion", version.version)
    write_text(record, student.read_text())
""",
}
BEGINNING = """\
import os, time
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
from pipeline.files import InputError, replacing, write_text
from pipeline.params import Params
from pipeline.stages.command import main

def note(stage: str, name: str) -> None:
    with open(os.environ["NURSERY"], "a") as done:
        done.write(f"{stage}@{name}\\n")

"""
END = '\nif __name__ == "__main__":\n    main(run)\n'

DVC_YAML = """\
stages:
  ingest:
    foreach: [apples, pears]
    do:
      cmd: exec python -m toy.ingest --dataset ${item} --path data/raw/${item}.txt --out data/ingested/${item}.txt
      deps: ["data/raw/${item}.txt", toy/ingest.py]
      outs: ["data/ingested/${item}.txt"]
  validate:
    foreach: [apples, pears]
    do:
      cmd: exec python -m toy.validate --dataset ${item} --rows data/ingested/${item}.txt --out data/validated/${item}
      deps: ["data/ingested/${item}.txt", toy/validate.py]
      outs: ["data/validated/${item}"]
  train:
    foreach: [sentiment]
    do:
      cmd: exec python -m toy.train --task ${item} --rows data/validated/apples --more data/validated/pears
        --out models/${item}.txt
      deps: [data/validated/apples, data/validated/pears, toy/train.py]
      outs: ["models/${item}.txt"]
  register:
    foreach: [sentiment]
    do:
      cmd: exec python -m toy.register --task ${item} --student models/${item}.txt --rows data/validated/apples
        --record registered.txt
      deps: ["models/${item}.txt", data/validated/apples]
      always_changed: true
"""
IGNORED = ("/.stillhouse/", "/data/ingested/", "/data/validated/", "/models/", "/mlflow.db", "/mlruns/", "/done")
APPLES = [f"apple number {number} is sweet" for number in range(120)]
PEARS = [f"pear number {number} is soft" for number in range(20)]


def plant(folder: Path) -> Path:
    """Write the checkout into `folder`: a git repository with this project's flows and prefect.yaml."""
    for name, text in {
        **{f"toy/{stage}.py": BEGINNING + code + END for stage, code in STAGES.items()},
        "dvc.yaml": DVC_YAML,
        ".gitignore": "\n".join([*IGNORED, "/registered.txt", "__pycache__/"]),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    harvest(folder, "apples", APPLES)
    harvest(folder, "pears", PEARS)
    for name in ("params.yaml", "prefect.yaml"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(PROJECT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    run("-m", "dvc", "init", "--quiet", folder=folder)
    return folder


def harvest(folder: Path, dataset: str, rows: list[str]) -> None:
    """Make `rows` the raw data of a dataset."""
    path = folder / "data/raw" / f"{dataset}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


def done(folder: Path, stage: str) -> int:
    """Return how often a stage has run, in the checkout or in a copy of it."""
    return (folder / "done").read_text().splitlines().count(stage)
