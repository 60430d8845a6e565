"""`stillhouse run` in a small DVC project of its own: exit codes, one line for an error, nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli.progress import planned_stages

PROJECT = Path(__file__).parents[2]

DVC_YAML = """\
stages:
  measure:
    foreach: ${datasets}
    do:
      desc: the length of ${key}
      cmd: python stage.py ${key} 0
      deps: [stage.py]
      outs: ["${key}.txt"]
  register:
    cmd: python stage.py register 0
    deps: [imdb.txt]
    outs: [register.txt]
"""

STAGE = """\
import json, os, pathlib, sys, time
name, seconds = sys.argv[1:]
print(f"{name} at work, pid {os.getpid()}", flush=True)
time.sleep(float(seconds))
wrong = pathlib.Path(f"wrong-{name}")
if wrong.exists():
    state = pathlib.Path(".stillhouse/stages"); state.mkdir(parents=True, exist_ok=True)
    code = int(wrong.read_text())
    (state / f"measure@{name}.json").write_text(json.dumps({"code": code, "line": "row 7: found a, expected b"}))
    sys.exit(code)
pathlib.Path(f"{name}.txt").write_text(name)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with this project's params.yaml and stages that take no time; its report is there already."""
    folder = tmp_path_factory.mktemp("template") / "project"
    (folder / "reports").mkdir(parents=True)
    (folder / "reports/summary.json").write_text(json.dumps({"tasks": {}}))
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "stage.py").write_text(STAGE)
    shutil.copy(PROJECT / "params.yaml", folder)
    shutil.copy(PROJECT / "constraints.txt", folder)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `stillhouse` in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stillhouse(folder: Path, *arguments: str) -> tuple[int, str, str]:
    with start(folder, *arguments) as process:
        output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def test_plan_is_what_dvc_makes_of_the_real_dvc_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    from flows.graph import read_stage_names

    planned = planned_stages()
    assert list(planned) == read_stage_names()
    assert all(description and "$" not in description for description in planned.values())


def test_runs_what_changed_and_orders_the_lock(project: Path) -> None:
    code, output, errors = stillhouse(project, "run")
    assert (code, errors) == (0, "")
    assert "[1/3] measure@rotten_tomatoes: the length of rotten_tomatoes" in output
    assert "to go" in output and "imdb at work" in output
    assert set(json.loads((project / ".stillhouse/timings.json").read_text())) == {
        "measure@rotten_tomatoes",
        "measure@imdb",
        "register",
    }
    lock = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text(lock.replace("stages:\n", "stages:\n  gone:\n    cmd: none\n"))
    code, output, errors = stillhouse(project, "run")
    assert (code, errors) == (0, "")
    assert output.count("unchanged") == 3 and "at work" not in output
    assert (project / "dvc.lock").read_text() == lock


@pytest.mark.parametrize("expected", [1, 2])
def test_a_failing_stage_gives_its_code_and_one_line(project: Path, expected: int) -> None:
    (project / "wrong-imdb").write_text(str(expected))
    code, _, errors = stillhouse(project, "run")
    assert code == expected
    assert errors == "stillhouse: measure@imdb: row 7: found a, expected b\n"


def test_wrong_params_and_missing_files_are_named_before_the_first_stage(project: Path) -> None:
    params = project / "params.yaml"
    right = params.read_text()
    params.write_text(right.replace("temperature: 2.0", "temperature: 0"))
    code, output, errors = stillhouse(project, "run")
    assert (code, output) == (2, "")
    assert errors == "stillhouse: params.yaml: tasks.sentiment.distill.temperature: must be > 0, got 0\n"

    params.write_text(right.replace("layers: 2, hidden_size: 192", "layers: 2, hidden_size: 768"))
    code, output, errors = stillhouse(project, "run")
    key = "params.yaml: tasks.sentiment.student.architecture.hidden_size"
    assert (code, errors) == (2, f"stillhouse: {key}: must be <= 384, the teacher's, got 768\n")

    params.write_text(right.replace("path: constraints.txt", "path: data/raw/mine.csv", 1))
    code, output, errors = stillhouse(project, "run")
    assert (code, output) == (2, "")
    assert errors.startswith("stillhouse: params.yaml: datasets.rotten_tomatoes.path: data/raw/mine.csv: no such file")

    code, output, errors = stillhouse(project.parent, "run")
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1 and "expected to be started in the project's folder" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_stage_too(project: Path, number: signal.Signals) -> None:
    definition = project / "dvc.yaml"
    definition.write_text(definition.read_text().replace("${key} 0", "${key} 300"))
    with start(project, "run") as process:
        stage = wait_for_stage(process)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(stage, 0)


def test_a_second_start_says_who_holds_the_lock_and_waits(project: Path) -> None:
    definition = project / "dvc.yaml"
    definition.write_text(definition.read_text().replace("${key} 0", "${key} 3"))
    with start(project, "run") as first:
        wait_for_stage(first)
        with start(project, "run") as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            assert f"held by stillhouse run, pid {first.pid}, since 20" in said
            assert first.poll() is None
            first.communicate(timeout=60)
            output, _ = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert output.count("unchanged") == 3


def wait_for_stage(process: subprocess.Popen[str]) -> int:
    """Read until a stage says that it works; return its process id."""
    assert process.stdout is not None
    deadline = time.monotonic() + 60
    for line in process.stdout:
        if "at work, pid " in line:
            return int(line.rsplit(" ", 1)[1])
        assert time.monotonic() < deadline
    raise AssertionError("no stage began")
