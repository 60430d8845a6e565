"""The student: taught by the teacher on labelled and unlabelled rows; beside it the same student from labels alone."""

from pathlib import Path

from pipeline.params import Params
from pipeline.stages.command import main

TEACHER_CACHE = Path(".stillhouse/teacher_cache")
SPLITS = ("train", "dev", "transfer")


def run(
    params: Params,
    *,
    task: str,
    teacher: Path,
    teacher_tokens: Path,
    student_tokens: Path,
    student_tokenizer: Path,
    out: Path,
    undistilled: Path,
    soft_labels: Path,
    history: Path,
) -> None:
    """Distil the teacher of a task into its student, and train the same student without a teacher."""
    import torch
    from transformers import AutoConfig

    from pipeline.distillation.classroom import Classroom
    from pipeline.distillation.student import check_shapes
    from pipeline.distillation.teacher_cache import cached_outputs
    from pipeline.files import content_hash, write_json
    from pipeline.tasks import TASKS
    from pipeline.tasks.model_folder import publish_model
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.tracking import OUTPUT_HASH, stage_run
    from pipeline.training import runtime
    from pipeline.training.checkpoints import work_folder
