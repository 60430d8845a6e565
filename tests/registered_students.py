"""Registries with tiny students in them, each of a few kilobytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline import tracking
from pipeline.registry import publish
from tests import tiny_students

STUDENTS = {
    "sentiment": tiny_students.save_label_student,
    "pairs": tiny_students.save_label_student,
    "unsure": tiny_students.save_unsure_student,
    "topics": tiny_students.save_topic_student,
    "slots": tiny_students.save_span_student,
    "answers": tiny_students.save_answer_student,
    "similar": tiny_students.save_similarity_student,
    "writing": tiny_students.save_continuation_student,
    "translated": tiny_students.save_translation_student,
}
PAIRED = ("pairs", "answers", "similar")
EXAMPLES = ["play it madonna", "in it new york"]  # each holds one "it", as a marker has to stand
TEXTS = ["play madonna in paris", "it", "new york, new york", "东京 keys"]


@contextmanager
def registry_in(root: Path) -> Iterator[ModuleType]:
    """Enter `root` with a registry of its own; yield mlflow, connected to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        yield tracking.connect()


def register_student(mlflow: Any, task: str, student: Path, *, markers: Sequence[str] = ()) -> None:
    """Register the student in a folder as the next version of a task's model."""
    with mlflow.start_run() as run:
        mlflow.log_text("a run without a file has no folder", "note.txt")
    examples = {"text": EXAMPLES} | ({"pair": ["it", "in"]} if task in PAIRED else {})
    publish.register_version(
        mlflow,
        task,
        run_id=run.info.run_id,
        student=student,
        examples=examples,
        markers=markers,
        description="tiny",
        tags={},
    )


def make_champion(mlflow: Any, task: str, version: int = 1) -> None:
    """Move the alias by which `predict`, `serve` and `score` find a version."""
    mlflow.MlflowClient().set_registered_model_alias(task, "champion", str(version))


def register_students(root: Path) -> ModuleType:
    """Register one student of each kind under the name of its task; return mlflow, connected to that registry.

    The current folder should be `root`, and MLFLOW_TRACKING_URI name a database in it.
    """
    mlflow = tracking.connect()
    for task, save_student in STUDENTS.items():
        save_student(root / task)
        register_student(mlflow, task, root / task)
        make_champion(mlflow, task)
    return mlflow
