"""Projects that tests of several stages start from."""

from pathlib import Path

import pytest

from tests.stages.tokenization_project import build_project


@pytest.fixture
def tokenization_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter an empty folder with the documents and rows of the tokenization stages."""
    monkeypatch.chdir(tmp_path)
    build_project()
