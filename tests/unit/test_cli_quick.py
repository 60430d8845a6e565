"""`stillhouse quick` works in a copy: parameters at a smoke scale are valid, and the project itself is not touched."""

import copy
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.cli.quick import enter_quick_copy
from pipeline.files import InputError
from pipeline.params import check_params, load_params, read_yaml
from pipeline.smoke import CORPUS_ROWS, PRETRAINING_TOKENS, ROWS_OF_A_CLASS, TASK_ROWS, at_smoke_scale

PROJECT = Path(__file__).parents[2]
FILES = [PROJECT / "params.yaml", *sorted((PROJECT / "recipes").glob("*.yaml"))]


def small_project(project: Path) -> Path:
    """Make a git checkout with a little of the code."""
    (project / "pipeline").mkdir(parents=True)
    (project / ".dvc").mkdir()
    for name in ("params.yaml", "dvc.yaml", "constraints.txt", ".dvc/config", "pipeline/files.py"):
        shutil.copy(PROJECT / name, project / name)
    (project / ".gitignore").write_text("/.stillhouse/\n/data/ingested/\n")
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    return project


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_recipe_has_a_valid_smoke_scale(path: Path) -> None:
    values = read_yaml(path)
    before = copy.deepcopy(values)
    small = check_params(at_smoke_scale(values), path)
    full = load_params(path)
    assert values == before
    assert small.pretrain.max_tokens <= PRETRAINING_TOKENS and set(small.tasks) == set(full.tasks)
    assert all(dataset.max_rows is not None for dataset in small.datasets.values())
    assert all(task.finetune.training.epochs == 1 for task in small.tasks.values())


def test_rows_are_as_many_as_the_classes_of_rows_need_not_those_of_spans() -> None:
    values = read_yaml(PROJECT / "recipes/two-tasks.yaml")
    values["datasets"]["snips_intents"]["labels"] = {str(number): str(number) for number in range(20)}
    datasets = at_smoke_scale(values)["datasets"]
    assert datasets["snips_intents"]["max_rows"] == 20 * ROWS_OF_A_CLASS
    assert datasets["snips_slots"]["max_rows"] == TASK_ROWS  # 39 types of spans, several in a row


def test_files_of_a_folder_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = small_project(tmp_path / "project")
    shutil.copy(PROJECT / "recipes/snips-slots.yaml", project / "params.yaml")
    monkeypatch.chdir(project)
    with pytest.raises(InputError, match=r"data/raw/snips-slu: no such file"):
        enter_quick_copy(Path("params.yaml"))
    folder = project / "data/raw/snips-slu"
    folder.mkdir(parents=True)
    for name in ("train.txt", "dev.txt", "test.txt"):
        (folder / name).write_text(f"{name} O\nPlayMusic\n")
    enter_quick_copy(Path("params.yaml"))
    assert Path.cwd() == project / ".stillhouse/quick"
    assert sorted(file.name for file in Path("data/raw/snips-slu").iterdir()) == ["dev.txt", "test.txt", "train.txt"]
    dataset = load_params(Path("params.yaml")).datasets["snips_slots"]
    assert (dataset.path, dataset.max_rows) == ("data/raw/snips-slu", TASK_ROWS)


def test_copy_follows_the_project_and_leaves_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = small_project(tmp_path / "project")
    (project / "pipeline/new.py").write_text("old = True\n")
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.chdir(project)

    enter_quick_copy(Path("params.yaml"))
    assert Path.cwd() == project / ".stillhouse/quick"
    assert Path("pipeline/new.py").read_text() == "old = True\n" and not Path("dvc.lock").exists()
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert load_params(Path("params.yaml")).datasets["imdb"].max_rows == CORPUS_ROWS
    assert (project / "params.yaml").read_bytes() == (PROJECT / "params.yaml").read_bytes()

    (project / "pipeline/new.py").unlink()
    kept = Path("pipeline/files.py").stat().st_mtime_ns
    monkeypatch.chdir(project)
    enter_quick_copy(Path("params.yaml"))
    assert not Path("pipeline/new.py").exists()
    assert Path("pipeline/files.py").stat().st_mtime_ns == kept
