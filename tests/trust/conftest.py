"""What the tests of docs/trust.md share: each is named after the point it proves."""

import shutil
from pathlib import Path

import pytest

from tests.trust.four_versions import enter, make_database
from tests.trust.registered_project import make
from tests.trust.whole_project import QUICK, ROOT, checkout, run_quick


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project's files as they are now: what all checkouts of a test session are made from."""
    return checkout(ROOT, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def whole_run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the whole job has run once, undisturbed, at the smoke scale."""
    folder = checkout(source, tmp_path_factory.mktemp("whole"))
    run_quick(folder)
    return folder / QUICK


@pytest.fixture(scope="session")
def made_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of tiny files that DVC ran and git committed, not yet registered; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("made") / "project"
    make(folder)
    return folder


@pytest.fixture(scope="session")
def four_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database in which a model has four versions and no alias; copy it before changing anything."""
    return make_database(tmp_path_factory.mktemp("database"))


@pytest.fixture
def folder(four_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, entered, with that database as MLflow's."""
    shutil.copy(four_versions, tmp_path)
    enter(tmp_path, monkeypatch)
    return tmp_path
