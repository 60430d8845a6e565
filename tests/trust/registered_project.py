"""A project that DVC ran and `register` registered: real hashes, a real git commit, a real MLflow database, tiny files.

Its stages have the paths of dvc.yaml's and write files that were made beforehand.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.files import sha256_of_file, write_json
from pipeline.params import Params, load_params
from pipeline.stages import evaluate, export, register
from tests.stages.tiny_project import build_project

ROOT = Path(__file__).parents[2]
TASK = "sentiment"
# stage: what it reads, what it writes and from which of the made files
STAGES: dict[str, tuple[list[str], dict[str, str]]] = {
    "ingest-imdb": (["data/raw/imdb.csv"], {"data/ingested/imdb": "rows"}),
    "ingest-reviews": (["constraints.txt"], {"data/ingested/reviews": "rows"}),
    "validate-imdb": (["data/ingested/imdb"], {"data/validated/imdb": "rows"}),
    "validate-reviews": (["data/ingested/reviews"], {"data/validated/reviews": "rows"}),
    "train_tokenizer": (["data/validated/imdb"], {"models/tokenizer": "nested"}),
    "tokenize_corpus": (["data/validated/imdb", "models/tokenizer"], {"data/tokens/corpus": "tokens/teacher/train"}),
    "pretrain": (["data/tokens/corpus"], {"models/pretrained": "pretrained"}),
    "tokenize-sentiment": (
        ["data/validated/reviews", "models/tokenizer"],
        {
            "data/tokens/sentiment/teacher": "tokens/teacher",
            "data/tokens/sentiment/student": "tokens/student",
            "data/transfer/sentiment.parquet": "transfer.parquet",
        },
    ),
    "finetune-sentiment": (
        ["models/pretrained", "data/tokens/sentiment/teacher"],
        {"models/sentiment/teacher": "teacher"},
    ),
    "distill-sentiment": (
        ["models/sentiment/teacher", "data/tokens/sentiment/student"],
        {"models/sentiment/student": "student"},
    ),
    "export-sentiment": (
        ["models/sentiment/student", "data/tokens/sentiment/student"],
        {"models/sentiment/exported": "exported"},
    ),
    "evaluate-sentiment": (
        ["models/sentiment/student", "models/sentiment/exported", "data/transfer/sentiment.parquet"],
        {
            "reports/sentiment/evaluation.json": "evaluation.json",
            "reports/sentiment/predictions.parquet": "predictions.parquet",
        },
    ),
}


def params() -> Params:
    """The parameters of this repository, with a gate that a few rows can pass."""
    values = load_params(ROOT / "params.yaml").model_dump()
    values["tasks"][TASK]["gate"] |= {"min_rows": 10, "margin": 0.4}
    return Params.model_validate(values)


def make(root: Path) -> None:
    """Make a git commit of a project in `root`, an installed package beside it, and let DVC run the stages."""
    _make_files(root / "made")
    _make_package(root / "site")
    raw = root / "data/raw/imdb.csv"
    raw.parent.mkdir(parents=True)
    raw.write_text("text\na film\n", encoding="utf-8")
    (root / "constraints.txt").write_text("tiny-reviews==1.0\n", encoding="utf-8")
    rows = "tiny_reviews/rows.csv"
    files = {rows: sha256_of_file(root / "site" / rows)}
    source = {"kind": "package", "package": "tiny-reviews", "files": files}
    project = {
        "datasets": {"reviews": {"source": source}, "imdb": {"source": {"kind": "file"}}},
        "runtime": {"seed": 1},
    }
    document = {"stages": {name: _stage(root, name) for name in STAGES}}
    for name, value in (("params.yaml", project), ("dvc.yaml", document)):
        with open(root / name, "w", encoding="utf-8") as file:
            YAML(typ="safe").dump(value, file)
    (root / ".gitignore").write_text(
        "/made/\n/site/\n/data/\n/models/\n/mlflow.db\n/mlruns/\n/.stillhouse/\n/reports/\n"
    )
    command(root, "git", "init", "--quiet")
    command(root, sys.executable, "-m", "dvc", "init", "--quiet")
    commit(root)
    command(root, sys.executable, "-m", "dvc", "repro", "--quiet")


def _make_files(made: Path) -> None:
    made.mkdir(parents=True)
    build_project(made)
    (made / "nested/a").mkdir(parents=True)
    for name in ("a/b", "a.txt", "a-b", "é"):  # DVC sorts a folder's files as text, stillhouse by their parts
        (made / "nested" / name).write_text(name, encoding="utf-8")
    dev = made / "tokens/student/dev"
    export.run(params(), task=TASK, student=made / "student", dev=dev, out=made / "exported")
    evaluate.run(
        params(),
        task=TASK,
        rows=made / "rows",
        tokens=made / "tokens",
        teacher=made / "teacher",
        student=made / "student",
        exported=made / "exported",
        undistilled=made / "undistilled",
        pretrained=made / "pretrained",
        transfer=made / "transfer.parquet",
        soft_labels=made / "soft",
        out=made / "evaluation.json",
        predictions=made / "predictions.parquet",
        confusion=made / "confusion.csv",
        reliability=made / "reliability.csv",
    )


def _make_package(site: Path) -> None:
    for folder in ("tiny_reviews", "tiny_reviews-1.0.dist-info"):
        (site / folder).mkdir(parents=True)
    (site / "tiny_reviews/rows.csv").write_text("text,label\nwarm,1\n", encoding="utf-8")
    (site / "tiny_reviews-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: tiny-reviews\nVersion: 1.0\n"
    )


def _stage(root: Path, name: str) -> dict[str, Any]:
    reads, writes = STAGES[name]
    code = root / "pipeline" / "stages" / f"{name.split('-')[0]}.py"
    code.parent.mkdir(parents=True, exist_ok=True)
    code.write_text(f"# {name}\n", encoding="utf-8")
    copies = [f"mkdir -p {Path(out).parent} && cp -r made/{made} {out}" for out, made in writes.items()]
    dataset = [f"datasets.{name.split('-')[1]}"] if name.startswith("ingest-") else ["runtime.seed"]
    dependencies = [*reads, code.relative_to(root).as_posix()]
    return {"cmd": " && ".join(copies), "deps": dependencies, "params": dataset, "outs": list(writes)}


def command(root: Path, *words: str) -> str:
    """Run a program in the project and return what it printed."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(root: Path) -> str:
    """Commit what git is not told to ignore and return the commit's name."""
    command(root, "git", "add", "--all")
    command(root, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "test")
    return command(root, "git", "rev-parse", "HEAD")


def register_student(root: Path) -> None:
    """Run the real `register` on the project in `root`, the current folder."""
    reports = root / "reports"
    for name in ("pretrain/history", f"{TASK}/finetune", f"{TASK}/distill"):
        write_json(reports / f"{name}.json", [{"step": step, "split": "dev", "loss": 1.0 / step} for step in (1, 2)])
    task = reports.relative_to(root) / TASK
    register.run(
        params(),
        task=TASK,
        rows=Path("data/validated/reviews"),
        corpus=Path("data/validated/imdb"),
        tokens=Path("data/tokens") / TASK,
        pretrained=Path("models/pretrained"),
        teacher=Path("models") / TASK / "teacher",
        student=Path("models") / TASK / "student",
        exported=Path("models") / TASK / "exported",
        pretrain_history=Path("reports/pretrain/history.json"),
        finetune_history=task / "finetune.json",
        pretrained_student=Path("models") / TASK / "pretrained_student",
        distill_pretrained_history=task / "distill_pretrained.json",
        distill_history=task / "distill.json",
        evaluation=task / "evaluation.json",
        predictions=task / "predictions.parquet",
        reports=Path("reports"),
    )
