"""What a teacher says about rows: its logits and the states of its layers, as flat arrays."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipeline.distillation.intermediate import State


@dataclass(frozen=True)
class TeacherRow:
    """What the teacher says about one row of TeacherOutputs.

    logits (targets, classes); states (length, width) of layers; likeliest (targets, k) or None.
    """

    logits: np.ndarray
    states: dict[State, np.ndarray]
    likeliest: np.ndarray | None = None

    def without_states(self) -> "TeacherRow":
        """Return the same with no token's state of a layer."""
        return replace(self, states={state: values[:0] for state, values in self.states.items()})


@dataclass(frozen=True)
class TeacherOutputs:
    """What the teacher says about N rows of unequal length.

    lengths: tokens of each row, int64 (N,). targets: row i's are targets[i] to targets[i + 1], int64 (N + 1,).
    logits: float32 (targets, classes).
    states: of layers, float16 (tokens, width), the rows' after one another. Of attention these are queries, keys and
        values, from which its scores and relations follow: a token's are as many numbers however long its row is.
    likeliest: where there are too many classes to keep, the k likeliest of each target, uint16 or uint32 (targets, k);
        logits, (targets, k + 1), are then log-probabilities, as `pipeline.distillation.losses.likeliest_labels` has
        them. None where all are kept.
    """

    lengths: np.ndarray
    targets: np.ndarray
    logits: np.ndarray
    states: dict[State, np.ndarray]
    likeliest: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> TeacherRow:
        """Return one row's part of the arrays, without copying."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        own = slice(self.targets[row], self.targets[row + 1])
        tokens = slice(self._ends[row] - self.lengths[row], self._ends[row])
        return TeacherRow(
            self.logits[own],
            {state: array[tokens] for state, array in self.states.items()},
            None if self.likeliest is None else self.likeliest[own],
        )

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.lengths)
