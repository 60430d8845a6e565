"""How every stage starts, with a toy one: what it shows and how it ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import SLOW, left_after, processes_in

ROOT = Path(__file__).parents[2]

BARS = """\
from pathlib import Path
from pipeline.params import Params
from pipeline.stages.command import main

def run(params: Params, *, out: Path) -> None:
    from tqdm.auto import tqdm
    from transformers.utils.logging import tqdm as of_transformers
    out.write_text(str(sum(tqdm(range(3))) + sum(of_transformers(range(3)))))

if __name__ == "__main__":
    main(run)
"""

ENDS = """\
import atexit
from pathlib import Path
from pipeline.files import InputError
from pipeline.params import Params
from pipeline.stages.command import main

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()

def run(params: Params, *, out: Path) -> None:
    atexit.register(print, "last words", end="")
    if out.exists():
        raise InputError("it is there")

if __name__ == "__main__":
    main(run)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with params.yaml and a package for stages."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "toy").mkdir()
    return tmp_path


@pytest.fixture
def slow(project: Path) -> Path:
    """A DVC project whose one stage never ends."""
    shutil.copy(ROOT / "constraints.txt", project)
    (project / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", project / ".dvc")
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    (project / "toy/slow.py").write_text(SLOW)
    (project / "dvc.yaml").write_text("stages: {slow: {cmd: exec python -m toy.slow --out x, outs: [x]}}")
    return project


def environment() -> dict[str, str]:
    """The environment of a person's own shell: none of what the drivers set."""
    inherited = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PYTHONPATH": str(ROOT), "PATH": path}


@pytest.mark.parametrize(("out", "code"), [("new", 0), ("params.yaml", 2)])
def test_a_stage_does_what_is_to_be_done_at_its_end_and_takes_nothing_apart(project: Path, out: str, code: int) -> None:
    (project / "toy/ends.py").write_text(ENDS)
    command = [sys.executable, "-m", "toy.ends", "--out", out]
    ended = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (code, "last words")
    assert ended.stderr == ("" if code == 0 else "ends: it is there\n")


def test_libraries_draw_no_bars(project: Path) -> None:
    (project / "toy/bars.py").write_text(BARS)
    command = [sys.executable, "-m", "toy.bars", "--out", "sum"]
    ended = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (project / "sum").read_text() == "6"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_killed_dvc_takes_its_stage_along_whatever_the_shell(slow: Path, shell: str) -> None:
    command = [sys.executable, "-m", "dvc", "repro"]
    with subprocess.Popen(command, cwd=slow, env=environment() | {"SHELL": shell}, stdout=subprocess.PIPE) as process:
        assert process.stdout and any(b"slow at work" in line for line in process.stdout)
        assert any("toy.slow" in running for running in processes_in(slow))
        process.kill()
        assert left_after(slow, 10) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_stage_whose_dvc_is_gone_before_it_asks_does_no_work(slow: Path) -> None:
    shell = ["/bin/sh", "-c", "python -m toy.slow --out x & exec true"]
    with subprocess.Popen(
        shell, cwd=slow, env=environment() | {"DVC_STAGE": "slow"}, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.communicate(timeout=60)[0] == b""
    assert left_after(slow, 10) == []
