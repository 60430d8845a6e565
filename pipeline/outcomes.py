"""What the stages did in the run that is under way: the driver tells it, the report shows it."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.files import InputError, read_json, write_json
from pipeline.processes import identity, is_running

FILE = Path(".stillhouse/outcomes.json")


def write_outcomes(stages: Mapping[str, tuple[str, float]]) -> None:
    """Say of each stage so far what it did (ran, restored, unchanged, failed) and for how many seconds.

    A disk without room is no reason to stop; whoever needs it next says so.
    """
    found = {name: {"outcome": outcome, "seconds": round(seconds, 1)} for name, (outcome, seconds) in stages.items()}
    with contextlib.suppress(InputError):
        write_json(FILE, {"process": identity(), "stages": found})


def read_outcomes() -> dict[str, dict[str, Any]]:
    """Return what the driver at work has said of each stage; nothing where none is, as under a bare `dvc repro`."""
    try:
        found = read_json(FILE)
    except InputError:
        return {}
    return dict(found["stages"]) if is_running(found["process"]) else {}
