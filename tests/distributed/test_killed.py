"""Two processes of which one is killed, or whoever started them: nothing stays behind, and the next run ends the same.

Dropout is on, so each process has to find its own random state again.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from pipeline.files import read_json
from tests.distributed.training_project import HISTORY, PRETRAINED, make_project, run, start
from tests.processes import left_after

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the project after a run that nobody killed."""

    @cache
    def ended(distributed: str) -> Path:
        folder = project(tmp_path_factory.mktemp("whole"), distributed)
        run(folder)
        return folder

    return ended


def project(parent: Path, distributed: str) -> Path:
    runtime = {"distributed": distributed, "processes": 2}
    return make_project(parent / "project", dropout=0.1, checkpoint_minutes=0.005, **runtime)


def at_work(folder: Path, process: "subprocess.Popen[str]") -> dict[int, int]:
    """Wait for the first checkpoint and return the number of the process of each rank."""
    while not any(folder.glob(".stillhouse/checkpoints/*/step-*/complete.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    ranks = {}
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ranks |= {int(value.removeprefix(b"RANK=")): int(child) for value in variables if value.startswith(b"RANK=")}
    assert sorted(ranks) == [0, 1]
    return ranks


def ends_the_same(folder: Path, whole: Path) -> None:
    assert "goes on from step" in run(folder)
    for name in (PRETRAINED, HISTORY):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("distributed", ["ddp", "fsdp"])
def test_a_process_is_killed(distributed: str, whole: Callable[[str], Path], tmp_path: Path) -> None:
    folder = project(tmp_path, distributed)
    process = start(folder)
    os.kill(at_work(folder, process)[1], signal.SIGKILL)
    printed = process.communicate(timeout=120)[0]

    line = "process 1 of 2 was ended by SIGKILL"
    assert process.returncode == 1
    assert printed.splitlines()[-1] == f"pretrain: {line}" and "Traceback" not in printed
    assert read_json(folder / ".stillhouse/stages/pretrain.json") == {"code": 1, "line": line}
    assert not left_after(folder, 60)
    assert not (folder / PRETRAINED).exists()
    ends_the_same(folder, whole(distributed))


def test_whoever_started_them_is_killed(whole: Callable[[str], Path], tmp_path: Path) -> None:
    folder = project(tmp_path, "ddp")
    process = start(folder)
    at_work(folder, process)
    process.kill()
    process.communicate(timeout=120)
    assert not left_after(folder, 60)
    ends_the_same(folder, whole("ddp"))


def test_they_are_told_to_stop(tmp_path: Path) -> None:
    folder = project(tmp_path, "ddp")
    process = start(folder)
    at_work(folder, process)
    process.terminate()
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == 143 and printed.splitlines()[-1] == "pretrain: ended by a signal"
    assert not left_after(folder, 60)
