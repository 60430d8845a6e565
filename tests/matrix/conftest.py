"""What all of the matrix shares: one project with its datasets, one process that knows nothing of it."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.params import Params
from tests.matrix import elsewhere as elsewhere_program
from tests.matrix import project, rows

Ask = Callable[..., Any]
LanguageModel = Callable[[str], tuple[Params, str]]


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose datasets have been read, split and checked."""
    folder = tmp_path_factory.mktemp("matrix")
    with contextlib.chdir(folder):
        rows.write_all()
        Path("constraints.txt").write_text("", encoding="utf-8")
        shutil.copytree(project.ROOT / "data/held_out", "data/held_out")
        params = project.task_settings("bert")
        for name in params.datasets:
            for stage in ("ingest", "validate"):
                project.run(stage, params, "", name)
    return folder


@pytest.fixture(autouse=True)
def inside(ingested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter the project, whose runs and models are in a database there."""
    monkeypatch.chdir(ingested)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{ingested}/mlflow.db")


@pytest.fixture(scope="session")
def language_model(ingested: Path) -> LanguageModel:
    """Return, by its type, the parameters and the folder of a model that has hardly begun to learn, made once."""

    @cache
    def made(model_type: str) -> tuple[Params, str]:
        params, folder = project.task_settings(model_type), f"tasks/{model_type}"
        project.pretrain(params, model_type, folder)
        return params, folder

    return made


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Ask]:
    """A process that imports transformers and MLflow alone; called with a function of elsewhere.py, its arguments."""
    command = [sys.executable, "-I", str(elsewhere_program.__file__)]
    environment = {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(
        command, cwd="/", env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:

        def ask(name: str, *arguments: Any) -> Any:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps([name, *arguments]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"{name} failed elsewhere, see what it wrote to stderr"
            return json.loads(line)

        yield ask
        assert process.stdin is not None
        process.stdin.close()
