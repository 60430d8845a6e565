"""Projects that tests of several stages start from."""

from pathlib import Path

import pytest

from tests.stages.tokenization_project import build_project


@pytest.fixture
def tokenization_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter an empty folder with the documents and rows of the tokenization stages."""
    monkeypatch.chdir(tmp_path)
    build_project()


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a database that the tests of a module share: to make one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def tracked_folder(tmp_path: Path, tracking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter an empty folder, with the module's database to write runs to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
