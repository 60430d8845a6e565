"""What the tests of the server share: a project with two versions of a tiny student, of which the first is champion."""

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import tracking
from tests.registered_students import make_champion, register_student, registry_in
from tests.tiny_students import save_gpt_student, save_label_student

ROOT = Path(__file__).parents[2]
TASK = "sentiment"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with params.yaml and a registry."""
    root = tmp_path_factory.mktemp("served")
    shutil.copy(ROOT / "params.yaml", root)
    with registry_in(root) as mlflow:
        for save_student in (save_label_student, save_gpt_student):
            save_student(root / save_student.__name__)
            register_student(mlflow, TASK, root / save_student.__name__)
        make_champion(mlflow, TASK)
    return root


@pytest.fixture
def registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """MLflow, connected to the registry of the project."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    return tracking.connect()
