"""How every stage starts, with a toy one: what it shows and how it ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with params.yaml and a package for stages."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "toy").mkdir()
    return tmp_path


def environment() -> dict[str, str]:
    """The environment of a person's own shell: none of what the drivers set."""
    inherited = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PYTHONPATH": str(ROOT), "PATH": path}


def test_libraries_draw_no_bars(project: Path) -> None:
    (project / "toy/bars.py").write_text(BARS)
    command = [sys.executable, "-m", "toy.bars", "--out", "sum"]
    ended = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (project / "sum").read_text() == "6"
