"""The whole job at the smoke scale, in real processes: what several points of docs/trust.md are proved on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECIPE = "recipes/sentiment-from-scratch.yaml"  # in this one the language model is trained too
QUICK = Path(".stillhouse/quick")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
# what a run publishes and what it leaves in its caches must not need one
ENVIRONMENT |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


def checkout(source: Path, folder: Path) -> Path:
    """Copy the files that git knows or would know from `source` to `folder`, a repository of its own: a clone with
    the edits.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (source / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def start_quick(folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start `stillhouse quick` in a checkout, its output in one pipe."""
    command = [sys.executable, "-m", "pipeline.cli", "quick", RECIPE]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def run_quick(folder: Path) -> str:
    """Run `stillhouse quick` in a checkout to its end and return what it printed."""
    with start_quick(folder) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    return output
