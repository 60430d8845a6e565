"""`stillhouse doctor`: what the bits of a result depend on besides code, data and parameters."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.cli.answers import answer
from pipeline.cli.preflight import check_project
from pipeline.params import load_params


def examine() -> None:
    """Print one line per fact; packages that are not as constraints.txt has them are named."""
    from pipeline.training.runtime import autocast_dtype, fingerprint

    check_project()
    runtime = load_params(Path("params.yaml")).runtime
    machine = fingerprint()
    dtype = str(autocast_dtype(runtime)).removeprefix("torch.")
    facts = {
        "Python": f"{platform.python_version()} at {sys.executable}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} threads",
        "vector instructions": machine["device"],
        "precision": f"{dtype} (runtime.precision is {runtime.precision})",
        "threads": f"{runtime.threads} (runtime.threads; another number gives other bits)",
        "seed": str(runtime.seed),
        "code": _revision(),
        **{name: machine[name] for name in ("torch", "transformers", "numpy")},
        "other packages": _compare_packages(Path("constraints.txt")),
    }
    table = Table.grid(padding=(0, 2))
    for name, fact in facts.items():
        table.add_row(name, fact)
    Console(highlight=False).print(table)
    answer(facts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else "unknown"


def _revision() -> str:
    shown = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    return shown.stdout.strip() or "not a git checkout"


def _compare_packages(constraints: Path) -> str:
    """Name the packages whose version is not the pinned one; a build's own suffix, as in 2.13.0+cpu, does not count."""
    pins = dict(line.split("==") for line in constraints.read_text(encoding="utf-8").split() if "==" in line)
    different = []
    for name, pinned in sorted(pins.items()):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        if found != pinned and found.split("+")[0] != pinned:
            different.append(f"{name} {found} (pinned: {pinned})")
    return "; ".join(different) or f"all {len(pins)} as {constraints} pins them"
