"""Whether a student can learn from a teacher of some shape: asked of params.yaml, of `init_from` and of the teacher."""

from typing import NamedTuple

from pipeline.params.distillation import AnyLessons
from pipeline.params.families import WITH_ALIKE_LAYERS, WITH_ATTENTIONS
from pipeline.params.lessons import lessons_of
from pipeline.params.task_types import OF_ATTENTION, OF_HEADS, OF_LAYER_MAP, OF_RELATION_MAP, RELATIONS
from pipeline.params.tasks import TaskParams
from pipeline.params.training import ArchitectureParams


class TeacherShape(NamedTuple):
    """A teacher's family and sizes, as `ArchitectureParams` names them, and how many tokens it knows.

    The last two are None where nobody knows them yet.
    """

    family: str
    layers: int
    hidden_size: int
    attention_heads: int
    intermediate_size: int
    max_length: int | None
    vocabulary_size: int | None = None

    @classmethod
    def from_params(cls, shape: ArchitectureParams) -> "TeacherShape":
        """Return the shape that a teacher will have which params.yaml describes."""
        return cls(*(getattr(shape, name) for name in cls._fields[:-1]))


def misfits(key: str, task: TaskParams, teacher: TeacherShape) -> list[str]:
    """Return what keeps the student of the task at `key` from learning from `teacher`, each in a line."""
    student = task.student.architecture
    problems = []
    if student.hidden_size > teacher.hidden_size:
        problems.append(
            f"{key}.student.architecture.hidden_size: must be <= {teacher.hidden_size}, the teacher's, "
            f"got {student.hidden_size}"
        )
    problems += _of_first_weights(key, task, teacher)
    for place, lessons in lessons_of(key, task).items():
        problems += _of_losses(key, place, student, lessons, teacher)
    return problems


def _of_first_weights(key: str, task: TaskParams, teacher: TeacherShape) -> list[str]:
    student, problems = task.student.architecture, []
    for name, choice, alike in (
        ("embeddings", task.student.embeddings, ("hidden_size",)),
        ("layers", task.student.layers, ("family", "hidden_size", "attention_heads", "intermediate_size")),
    ):
        for size in alike if choice == "teacher" else ():
            if getattr(student, size) != getattr(teacher, size):
                problems.append(
                    f"{key}.student.architecture.{size}: must be {getattr(teacher, size)}, the teacher's, when "
                    f"student.{name} is teacher, got {getattr(student, size)}"
                )
    if task.student.layers == "random":
        return problems
    if student.family not in WITH_ALIKE_LAYERS:
        problems.append(
            f"{key}.student.layers: must be random where student.architecture.family is none of "
            f"{', '.join(WITH_ALIKE_LAYERS)}, got teacher"
        )
    if teacher.layers % student.layers:
        problems.append(
            f"{key}.student.architecture.layers: must divide {teacher.layers}, the teacher's, when student.layers is "
            f"teacher, got {student.layers}"
        )
    if teacher.max_length is not None and student.max_length > teacher.max_length:
        problems.append(
            f"{key}.student.architecture.max_length: must be <= {teacher.max_length}, the teacher's, when "
            f"student.layers is teacher, got {student.max_length}"
        )
    return problems


def _of_losses(
    key: str, place: str, student: ArchitectureParams, lessons: AnyLessons, teacher: TeacherShape
) -> list[str]:
    problems = []
    weights = {loss: weight for loss, weight in lessons.losses.model_dump().items() if weight}
    for loss, weight in weights.items():
        if loss in OF_ATTENTION and teacher.family not in WITH_ATTENTIONS:
            problems.append(
                f"{place}.losses.{loss}: must be 0 where the teacher, a {teacher.family}, is none of "
                f"{', '.join(WITH_ATTENTIONS)}, got {weight}"
            )
        if loss in OF_HEADS and student.attention_heads != teacher.attention_heads:
            problems.append(
                f"{key}.student.architecture.attention_heads: must be {teacher.attention_heads}, the teacher's, when "
                f"{loss} has a weight, got {student.attention_heads}"
            )
        if loss in RELATIONS and lessons.relation_heads and teacher.hidden_size % lessons.relation_heads:
            problems.append(
                f"{place}.relation_heads: must divide {teacher.hidden_size}, the teacher's width, "
                f"got {lessons.relation_heads}"
            )
    for name, readers, first in (("layer_map", OF_LAYER_MAP, 0), ("relation_map", OF_RELATION_MAP, 1)):
        for own, its in getattr(lessons, name) if weights.keys() & set(readers) else ():
            if not (first <= own <= student.layers and first <= its <= teacher.layers):
                problems.append(
                    f"{place}.{name}: got [{own}, {its}], expected student layers from {first} to "
                    f"{student.layers} and teacher layers from {first} to {teacher.layers}"
                )
    if teacher.vocabulary_size is not None and (lessons.likeliest or 0) > teacher.vocabulary_size:
        problems.append(
            f"{place}.likeliest: must be <= {teacher.vocabulary_size}, the teacher's tokens, got {lessons.likeliest}"
        )
    return problems
