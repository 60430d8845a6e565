"""A registry with a champion of every kind, each of a few kilobytes."""

from pathlib import Path
from types import ModuleType

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
TEXTS = ["play madonna in paris", "it", "new york, new york", "东京 keys"]


def register_students(root: Path) -> ModuleType:
    """Register one student of each kind under the name of its task; return mlflow, connected to that registry.

    The current folder should be `root`, and MLFLOW_TRACKING_URI name a database in it.
    """
    mlflow = tracking.connect()
    with mlflow.start_run() as run:
        mlflow.log_text("a run without a file has no folder", "note.txt")
    for task, save_student in STUDENTS.items():
        save_student(root / task)
        examples = {"text": TEXTS[:2]} | ({"pair": ["it", "in"]} if task in PAIRED else {})
        publish.register_version(
            mlflow, task, run_id=run.info.run_id, student=root / task, examples=examples, description="tiny", tags={}
        )
        mlflow.MlflowClient().set_registered_model_alias(task, "champion", "1")
    return mlflow
