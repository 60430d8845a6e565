"""What the tests of the server share: a project with two versions of a tiny student, of which the first is champion."""

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import tracking
from pipeline.registry import publish
from tests.tiny_students import save_gpt_student, save_label_student

ROOT = Path(__file__).parents[2]
TASK = "sentiment"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with params.yaml and a registry."""
    root = tmp_path_factory.mktemp("served")
    shutil.copy(ROOT / "params.yaml", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        mlflow = tracking.connect()
        for save_student in (save_label_student, save_gpt_student):
            save_student(root / save_student.__name__)
            register(mlflow, root / save_student.__name__)
        move_alias(mlflow, 1)
    return root


def register(mlflow: ModuleType, student: Path, task: str = TASK) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("a run without a file has no folder", "note.txt")
    publish.register_version(
        mlflow,
        task,
        run_id=run.info.run_id,
        student=student,
        examples={"text": ["play madonna", "in new york"]},
        description="tiny",
        tags={},
    )


def move_alias(mlflow: ModuleType, version: int, task: str = TASK) -> None:
    mlflow.MlflowClient().set_registered_model_alias(task, "champion", str(version))


@pytest.fixture
def registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """MLflow, connected to the registry of the project."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    return tracking.connect()
