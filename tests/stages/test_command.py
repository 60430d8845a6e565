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

# SIGTERM comes while a module is imported, at the first line of Python's own import code, then at the second, ...
IMPORTS = """\
import _imp
import os
import signal
import sys
import time
from pathlib import Path
from pipeline.params import Params
from pipeline.stages.command import main

def import_ended_at(place: int) -> bool:
    passed = -1

    def step(frame, event, argument):
        nonlocal passed
        if frame.f_code.co_filename != "<frozen importlib._bootstrap>":
            return None
        passed += 1
        if passed == place:
            os.kill(os.getpid(), signal.SIGTERM)
        return step

    sys.modules.pop("colorsys", None)
    sys.settrace(step)
    try:
        import colorsys
    finally:
        sys.settrace(None)
    return passed >= place

def run(params: Params, *, out: Path) -> None:
    handler, ended, held, place = signal.getsignal(signal.SIGTERM), 0, 0, 0
    reached = True
    while reached:
        signal.signal(signal.SIGTERM, handler)
        try:
            if reached := import_ended_at(place):
                time.sleep(10)
        except SystemExit:
            ended += 1
        held += _imp.lock_held()
        place += 1
    out.write_text(f"{place - 1} {ended} {held}")

if __name__ == "__main__":
    main(run)
"""

# SIGTERM comes while an object is taken apart, where Python prints exceptions and goes on
DROPS = """\
import os
import signal
import time
from pathlib import Path
from pipeline.params import Params
from pipeline.stages.command import main

class Kept:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def run(params: Params, *, out: Path) -> None:
    kept = Kept()
    del kept
    time.sleep(10)
    out.write_text("not ended")

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


def test_a_signal_during_an_import_ends_the_stage_after_it_and_leaves_no_import_lock_held(project: Path) -> None:
    (project / "toy/imports.py").write_text(IMPORTS)
    command = [sys.executable, "-m", "toy.imports", "--out", "found"]
    ended = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    places, ends, held = map(int, (project / "found").read_text().split())
    assert places > 100
    assert (ends, held) == (places, 0)


def test_a_signal_whose_exception_python_drops_ends_the_stage_all_the_same(project: Path) -> None:
    (project / "toy/drops.py").write_text(DROPS)
    command = [sys.executable, "-m", "toy.drops", "--out", "new"]
    ended = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "drops: ended by a signal\n")
    assert not (project / "new").exists()


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
