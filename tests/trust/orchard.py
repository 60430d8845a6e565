"""A checkout whose DAG is many short branches that meet, made of real stages, and the drivers at work in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.flows.conftest import run

ROOT = Path(__file__).parents[2]
TREES = ("ash", "elm", "fir", "oak")

# how long a stage takes and how often it fails stands in files that DVC does not know of
STAGE = """\
import random, time
from pathlib import Path
from pipeline.files import replacing
from pipeline.params import Params
from pipeline.stages.command import main

def run(params: Params, *, dataset: str, inputs: str, out: Path) -> None:
    print(f"{out} at work", flush=True)
    with replacing(out) as draft:
        draft.write_text("half of it")
        time.sleep(float(Path("seconds").read_text()))
        if random.random() < float(Path("misfortune").read_text()):
            raise RuntimeError("hail")
        draft.write_text(f"{out.stem}({' '.join(Path(name).read_text() for name in inputs.split(','))})")
    with open("done", "a") as done:
        done.write(f"{out}\\n")

if __name__ == "__main__":
    main(run)
"""

DVC_YAML = f"""\
stages:
  sow:
    foreach: [{", ".join(TREES)}]
    do:
      cmd: exec python -m toy.sow --dataset ${{item}} --inputs seeds/${{item}}.txt --out sown/${{item}}.txt
      deps: ["seeds/${{item}}.txt"]
      outs: ["sown/${{item}}.txt"]
  grow:
    foreach: [{", ".join(TREES)}]
    do:
      cmd: exec python -m toy.grow --dataset ${{item}} --inputs sown/${{item}}.txt --out grown/${{item}}.txt
      deps: ["sown/${{item}}.txt"]
      outs: ["grown/${{item}}.txt"]
  reap:
    foreach: [all]
    do:
      cmd: exec python -m toy.reap --dataset ${{item}} --inputs {",".join(f"grown/{tree}.txt" for tree in TREES)}
        --out reaped.txt
      deps: [{", ".join(f"grown/{tree}.txt" for tree in TREES)}]
      outs: [reaped.txt]
"""


def plant(folder: Path) -> Path:
    """Write the checkout into `folder`: no git, all that the drivers ask for, stages that take no time."""
    for name, text in {
        "dvc.yaml": DVC_YAML,
        "seconds": "0",
        "misfortune": "0",
        "reports/summary.json": '{"tasks": {}}',
        **{f"toy/{stage}.py": STAGE for stage in ("sow", "grow", "reap")},
        **{f"seeds/{tree}.txt": tree for tree in TREES},
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("params.yaml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    run("-m", "dvc", "init", "--no-scm", "--quiet", folder=folder)
    return folder


def start(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start `command` in `folder`, its output in one pipe and this Python's programs first on PATH.

    A server of Prefect's that it starts has its database in `folder`, whatever this process has imported by now.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        command,
        cwd=folder,
        env=inherited | {"PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "true"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read a process's lines up to the first with `words` in it, and return that one."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    raise AssertionError(f"never said {words!r}: {''.join(seen)}")
