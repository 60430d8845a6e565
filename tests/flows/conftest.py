"""A toy DVC repository with two branches that meet."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

STAGE = """\
import pathlib, sys, time
name, seconds, *inputs = sys.argv[1:]
log = pathlib.Path("times"); log.mkdir(exist_ok=True)
started = time.time(); print(f"{name} at work", flush=True); time.sleep(float(seconds))
if pathlib.Path(f"fail-{name}").exists():
    sys.exit(3)
text = "".join(pathlib.Path(i).read_text() for i in inputs)
pathlib.Path(f"{name}.txt").write_text(f"{name}({text})")
(log / name).write_text(f"{started} {time.time()}")
"""

DVC_YAML = """\
stages:
  sow:
    foreach: [left, right]
    do:
      desc: the ${item} branch
      cmd: python stage.py sow-${item} 1.5 seed.txt
      deps: [seed.txt]
      outs: ["sow-${item}.txt"]
      meta: {threads: 1}
  grow:
    foreach: [left, right]
    do:
      cmd: python stage.py grow-${item} 0 sow-${item}.txt
      deps: ["sow-${item}.txt"]
      outs: ["grow-${item}.txt"]
  reap:
    desc: where the branches meet
    cmd: python stage.py reap 0 grow-left.txt grow-right.txt
    deps: [grow-left.txt, grow-right.txt]
    outs: [reap.txt]
    meta: {threads: 2}
"""


def make_toy(folder: Path) -> Path:
    """Write the toy repository into `folder`: no git, a seed file that `dvc add` tracks, this project's params.yaml."""
    folder.mkdir(parents=True)
    (folder / "stage.py").write_text(STAGE)
    (folder / "seed.txt").write_text("seed")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    shutil.copy(PROJECT / "params.yaml", folder)
    run("-m", "dvc", "init", "--no-scm", "--quiet", folder=folder)
    run("-m", "dvc", "add", "--quiet", "seed.txt", folder=folder)
    return folder


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python in `folder` with its programs first on PATH, as the drivers do."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "true", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One toy that nobody runs: setting up DVC takes seconds, copying it none."""
    return make_toy(tmp_path_factory.mktemp("template") / "toy")


@pytest.fixture
def toy(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh toy as the current folder."""
    folder = tmp_path / "toy"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    return folder
