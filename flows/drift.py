"""How far new rows are from those that the champions were trained on: asked of `stillhouse drift`, in a process."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.dag import CommandError, run_command
from flows.stage import Session
from pipeline.files import read_json

FOUND = "drift.json"


@dataclass(frozen=True)
class Drift:
    """What was found of one task: its new rows in so many words, and the distance of each aspect."""

    task: str
    found: dict[str, Any]

    @property
    def drifted(self) -> list[str]:
        """The aspects that are over the limit and beyond chance."""
        return [name for name, aspect in self.found["aspects"].items() if aspect["drifted"]]

    def __str__(self) -> str:
        about = f"{self.task}: {self.found['summary']}"
        return f"{about}, drifted in {', '.join(self.drifted)}" if self.drifted else about

    def rows(self) -> list[dict[str, Any]]:
        """Return a line of a table for each aspect, one where there are none."""
        aspects = self.found["aspects"] or {"none": {}}
        return [{"task": self.task, "aspect": name, **found, "about": str(self)} for name, found in aspects.items()]


def measure_drift(session: Session, project: Path) -> list[Drift]:
    """Return what `stillhouse drift` finds of the validated rows of `project`, a copy of this one, task by task.

    Raises CommandError where it fails.
    """
    found = project / FOUND
    command = [sys.executable, "-m", "pipeline.cli", "drift", str(project), "--out", str(found)]
    code, lines = run_command(session, command)
    if code:
        raise CommandError(lines[-1] if lines else "stillhouse drift: ended without a word, perhaps killed")
    return [Drift(task, values) for task, values in read_json(found).items()]
