"""The teacher beside its student: asked anew about every batch, so that what its layers say lies on no disk.

What a model computes for a row depends, in its last bits, on how many rows are in the batch, on how far they are padded
and on some processors on the row's place among them. So each row is asked about in a batch of the shape that it has
when the cache is made, and in its place there: the student is the same.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pipeline.distillation.teacher_cache import cache_batches
from pipeline.distillation.teacher_outputs import TeacherOutputs, TeacherRow
from pipeline.training.batches import Row, Rows, row_at


class Ask(Protocol):
    """What says, of rows padded to `length` tokens, what the teacher says."""

    def __call__(self, batch: Sequence[Row], length: int, /) -> TeacherOutputs: ...


@dataclasses.dataclass(frozen=True)
class Question:
    """A row that the teacher is asked about once it stands in a batch.

    shape: rows and tokens of the batch that it is asked in. place: which of its rows it is. states: whether the states
    of its layers are wanted.
    """

    row: Row
    shape: tuple[int, int]
    place: int
    states: bool = True

    def without_states(self) -> "Question":
        """Return the same, its layers left out."""
        return dataclasses.replace(self, states=False)


class Questions(Sequence[Question]):
    """The rows of a split, each as what the teacher is asked, in the place of what its cache says."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.shapes = np.zeros((len(rows), 2), dtype=np.int64)
        self.places = np.zeros(len(rows), dtype=np.int64)
        for batch in cache_batches(rows.lengths):
            self.shapes[batch] = len(batch), rows.lengths[batch].max()
            self.places[batch] = range(len(batch))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Question:  # type: ignore[override]
        """Return what is asked of one row."""
        size, length = self.shapes[row].tolist()
        return Question(row_at(self.rows, row), (size, length), int(self.places[row]))


class OnlineTeacher:
    """A teacher that is asked while its student learns.

    splits: the teacher's token rows. questions: those of each split, for `Lessons`.
    """

    def __init__(self, ask: Ask, splits: Mapping[str, Rows]) -> None:
        self.ask = ask
        self.questions = {name: Questions(rows) for name, rows in splits.items()}

    def answers(self, questions: Sequence[Question]) -> list[TeacherRow]:
        """Return what the teacher says about the rows of a batch, in their order.

        Those of one shape are asked together, each in its place; of two that have the same one the second waits for the
        next batch, and a row of the batch fills the places that are left.
        """
        said: dict[int, TeacherRow] = {}
        for shape in sorted({question.shape for question in questions}):
            size, length = shape
            members = [index for index, question in enumerate(questions) if question.shape == shape]
            while members:
                batch: dict[int, int] = {}
                for index in members:
                    batch.setdefault(questions[index].place, index)
                filled = [batch.get(place, members[0]) for place in range(size)]
                outputs = self.ask([questions[index].row for index in filled], length)
                said |= {index: outputs[place] for place, index in batch.items()}
                members = [index for index in members if index not in said]
        rows = (said[index] for index in range(len(questions)))
        return [row if question.states else row.without_states() for row, question in zip(rows, questions, strict=True)]
