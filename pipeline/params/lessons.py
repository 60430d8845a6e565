"""Whether a student can learn what it is to learn, whoever its teacher is."""

from pipeline.params.distillation import AnyLessons
from pipeline.params.families import OBJECTIVES, WITH_ATTENTIONS, WITHOUT_LAYERS
from pipeline.params.task_types import OF_ATTENTION, OF_LAYERS, RELATIONS
from pipeline.params.tasks import TaskParams


def lessons_of(key: str, task: TaskParams) -> dict[str, AnyLessons]:
    """Return what the student of the task at `key` learns by from teachers, by where it stands."""
    before = task.student.distill_pretrained
    found: dict[str, AnyLessons] = {f"{key}.student.distill_pretrained": before} if before else {}
    return found | {f"{key}.distill": task.distill}


def misplaced_losses(key: str, task: TaskParams, distributed: str) -> list[str]:
    """Return what keeps the student of the task at `key` from the losses that compare its layers, each in a line.

    distributed: `runtime.distributed`.
    """
    student, problems = task.student, []
    family, width = student.architecture.family, student.architecture.hidden_size
    for place, lessons in lessons_of(key, task).items():
        for loss, weight in lessons.losses.model_dump().items():
            if weight and loss in OF_LAYERS and family in WITHOUT_LAYERS:
                problems.append(
                    f"{place}.losses.{loss}: must be 0 where {key}.student.architecture.family is {family}, whose "
                    f"layers are not the teacher's kind, got {weight}"
                )
            if weight and loss in OF_ATTENTION and family not in WITH_ATTENTIONS:
                problems.append(
                    f"{place}.losses.{loss}: must be 0 where {key}.student.architecture.family is none of "
                    f"{', '.join(WITH_ATTENTIONS)}, got {weight}"
                )
            if weight and loss in OF_ATTENTION and distributed == "fsdp":
                # queries and keys are computed outside of their layer, whose weights are elsewhere then
                problems.append(f"{place}.losses.{loss}: must be 0 when runtime.distributed is fsdp, got {weight}")
            if weight and loss in RELATIONS and width % (lessons.relation_heads or 1):
                problems.append(
                    f"{place}.relation_heads: must divide {width}, the student's width, got {lessons.relation_heads}"
                )
    return problems


def misfits_of_first_training(key: str, task: TaskParams, objective: str, sequence_length: int) -> list[str]:
    """Return what keeps the student at `key` from learning from the language model first, each in a line.

    objective: the language model's; sequence_length: the corpus's, in tokens.
    """
    student, place = task.student, f"{key}.student"
    if student.distill_pretrained is None:
        return []
    problems = []
    if objective != "masked_lm":
        problems.append(
            f"{place}.distill_pretrained: must be null where pretrain.objective is {objective}, got a mapping"
        )
    able = [family for family, objectives in OBJECTIVES.items() if "masked_lm" in objectives]
    if student.architecture.family not in able:
        problems.append(
            f"{place}.architecture.family: must be {' or '.join(able)} when student.distill_pretrained is given, "
            f"got {student.architecture.family}"
        )
    if student.vocabulary_size is not None:
        problems.append(
            f"{place}.vocabulary_size: must be null (the teacher's tokens) when student.distill_pretrained is given, "
            f"got {student.vocabulary_size}"
        )
    if student.architecture.max_length < sequence_length:
        problems.append(
            f"{place}.architecture.max_length: must be >= corpus.sequence_length ({sequence_length}) "
            f"when student.distill_pretrained is given, got {student.architecture.max_length}"
        )
    return problems
