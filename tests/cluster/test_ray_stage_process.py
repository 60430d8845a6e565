"""A stage that starts a Ray of its own, as people run it: whole after a worker's death, nothing left after its own."""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.files import content_hash
from pipeline.processes import identity, is_running
from tests.cluster.ray_processes import descendants
from tests.stages.tokenization_project import CORPUS, TOKENIZER, build_project, params, run_train_tokenizer, write_table

ROOT = Path(__file__).parents[2]
DOCUMENTS = 20_000  # twenty parts, some seconds


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a corpus and a tokenizer."""
    monkeypatch.chdir(tmp_path)
    build_project()
    chance = random.Random(1)
    words = ["".join(chance.choices("abdegiklmnorstu", k=chance.randint(2, 9))) for _ in range(500)]
    write_table(CORPUS / "train.parquet", [" ".join(chance.choices(words, k=150)) for _ in range(DOCUMENTS)], None)
    run_train_tokenizer(params())
    return tmp_path


def start(folder: Path, engine: str) -> "subprocess.Popen[str]":
    """Start tokenize_corpus, which writes to a folder of the engine's name."""
    YAML().dump(params().model_dump(mode="json") | {"engine": engine}, folder / "params.yaml")
    paths = ["--corpus", str(CORPUS), "--tokenizer", str(TOKENIZER), "--out", engine]
    command = [sys.executable, "-m", "pipeline.stages.tokenize_corpus", *paths]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    variables.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        command, cwd=folder, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def workers_of(stage: "subprocess.Popen[str]") -> list[int]:
    """Wait until workers are at a part, and return them."""
    while stage.poll() is None:
        if found := descendants(stage.pid, "ray::_call"):
            return found
        time.sleep(0.01)
    pytest.fail(f"ended before it began: {stage.communicate()}")


def test_a_worker_that_is_killed_in_the_middle_costs_no_byte(project: Path) -> None:
    assert start(project, "local").communicate(timeout=200)[1] == ""
    stage = start(project, "ray")
    for _ in range(2):
        os.kill(workers_of(stage)[0], signal.SIGKILL)
        time.sleep(0.5)
    out, errors = stage.communicate(timeout=200)
    assert (stage.returncode, errors) == (0, "")
    assert "A worker died or was killed while executing a task" in out  # Ray's own words
    assert content_hash(project / "ray") == content_hash(project / "local")


@pytest.mark.parametrize(("ended_by", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_ray_ends_with_the_stage(project: Path, ended_by: int, code: int) -> None:
    stage = start(project, "ray")
    workers_of(stage)
    started = [identity(process) for process in descendants(stage.pid)]
    assert len(started) > 3
    stage.send_signal(ended_by)
    stage.communicate(timeout=60)
    assert stage.returncode == code
    deadline = time.monotonic() + 180  # two agents of a Ray that was killed end after a minute
    while (left := [name for name in started if is_running(name)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert not (project / "ray").exists()
