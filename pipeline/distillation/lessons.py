"""What the student sees and what it is marked by: rows with the teacher's word on each, and the weighted losses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from pipeline.distillation.intermediate import State, layer_outputs
from pipeline.distillation.layer_losses import (
    attention_loss,
    hidden_cosine_loss,
    hidden_state_loss,
    relation_loss,
    scaled_products,
)
from pipeline.distillation.losses import jensen_shannon_loss, logit_mse, reverse_kl_loss, soft_label_loss
from pipeline.distillation.online import Question, Questions
from pipeline.distillation.teacher_outputs import TeacherOutputs, TeacherRow
from pipeline.params import AnyLessons
from pipeline.params.task_types import OF_LAYERS, OF_RELATION_MAP
from pipeline.training.batches import Rows
from pipeline.training.prediction import Reduce

OF_TEACHER = "teacher_"  # how the names of the teacher's outputs begin in a batch
# the states of a layer that each loss compares
COMPARED: dict[str, tuple[Any, ...]] = {
    "hidden_states": ("hidden_states",),
    "hidden_cosines": ("hidden_states",),
    "attentions": ("queries", "keys"),
    "attention_distributions": ("queries", "keys"),
    "query_relations": ("queries",),
    "key_relations": ("keys",),
    "value_relations": ("values",),
}


class Lessons(Dataset[tuple[Any, TeacherRow | Question]]):
    """Rows of a task, each paired with what the teacher says about it, or with what it is still to be asked.

    alike: bool (rows,), which rows are the same tokens to both; of the others no state of a layer is paired, as a state
    is one token's. None where all are.
    """

    def __init__(
        self, rows: Sequence[Any], teacher: TeacherOutputs | Questions, alike: np.ndarray | None = None
    ) -> None:
        if len(rows) != len(teacher):
            raise ValueError(f"got {len(rows)} rows and the teacher's outputs for {len(teacher)}, expected as many")
        self.rows, self.teacher, self.alike = rows, teacher, alike

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Any:
        said = self.teacher[row]
        if self.alike is not None and not self.alike[row]:
            said = said.without_states()
        return self.rows[row], said


def read_alike(student: Rows, teacher: Rows, teacher_ids: np.ndarray) -> np.ndarray:
    """Return which rows are the same tokens to student and teacher, bool (rows,).

    teacher_ids: int64 (student's vocabulary,), the teacher's id of each of the student's. A word whose pieces the
    student's smaller vocabulary lacks is spelled in other ones, and then its row is not.
    """
    rows = range(len(student))
    return np.array([np.array_equal(teacher_ids[student[row]], teacher[row]) for row in rows], dtype=bool)


def with_teacher(batch: dict[str, Tensor], teacher: Sequence[TeacherRow]) -> dict[str, Tensor]:
    """Add the teacher's outputs to a collated batch, padded like it.

    teacher_logits: (targets, classes); teacher_likeliest: int64 (targets, k), where no more classes were kept; for each
    state of a layer that was kept, such as teacher_hidden_states_2, float32 (rows, length, width), and with them
    teacher_alike, bool (rows,), which rows have any.
    """
    rows, length = batch["input_ids"].shape
    batch = batch | {f"{OF_TEACHER}logits": torch.from_numpy(np.concatenate([row.logits for row in teacher]))}
    if teacher[0].likeliest is not None:
        classes = np.concatenate([row.likeliest for row in teacher if row.likeliest is not None])
        batch[f"{OF_TEACHER}likeliest"] = torch.from_numpy(classes.astype(np.int64))
    for state, first in teacher[0].states.items():
        padded = torch.zeros(rows, length, first.shape[-1])
        for index, row in enumerate(teacher):
            own = row.states[state]
            padded[index, : len(own)] = torch.from_numpy(own.astype(np.float32))
        batch[f"{OF_TEACHER}{state}"] = padded
        batch[f"{OF_TEACHER}alike"] = torch.tensor([len(row.states[state]) > 0 for row in teacher])
    return batch


def divergences(teacher: TeacherOutputs, temperature: float) -> Reduce:
    """Return what makes of the student's logits each target's divergence from its teacher, (targets, 1).

    teacher: of whose classes the likeliest were kept, at that temperature.
    """
    likeliest = teacher.likeliest
    assert likeliest is not None

    def reduce(logits: Tensor, chosen: np.ndarray) -> Tensor:
        its = torch.from_numpy(teacher.logits[chosen]).to(logits.device)
        classes = torch.from_numpy(likeliest[chosen].astype(np.int64)).to(logits.device)
        return soft_label_loss(logits, its, temperature, classes).unsqueeze(1)

    return reduce


class DistillationLoss(nn.Module):
    """A student and the weighted sum of its distillation losses, with the projections W_h of TinyBERT's equation 8.

    task: as pipeline.tasks has it; it says which choices the logits of targets stand for, and what they lose against
    their labels (`hard_labels`; Hinton et al. 2015, section 2, the second of their two objectives, at temperature 1).
    The cosine of hidden states reads the student's through the same projections, but where both are of one width.
    """

    def __init__(self, task: Any, student: PreTrainedModel, distill: AnyLessons, teacher_width: int) -> None:
        super().__init__()
        self.task, self.model = task, student
        self.distill = distill
        self.states = states_compared(distill, student=True)
        width, losses = student.config.hidden_size, distill.losses
        projected = losses.hidden_states or (losses.hidden_cosines and width != teacher_width)
        self.projections = nn.ParameterDict(
            {
                _name(pair): nn.init.xavier_uniform_(torch.empty(width, teacher_width))
                for pair in (layer_pairs(distill, "hidden_states") if projected else ())
            }
        )

    def forward(
        self,
        positions: Tensor,
        labels: Tensor,
        teacher_logits: Tensor,
        row_weights: Tensor | None = None,
        **batch: Tensor,
    ) -> dict[str, Tensor]:
        """Return {"loss": weighted sum over the choices, "count": sum of the choices' weights}.

        A choice with a label weighs `labelled_weight`, one without (-1) weighs 1 and has no hard-label loss; either
        times the weight of its row where rows have one. What the layers of a row lose counts for each of its choices; a
        row that is other tokens to the teacher loses nothing by them. The batch is what `with_teacher` returns.
        """
        weights, attention_mask = self.distill.losses, batch["attention_mask"]
        teacher = {name: batch.pop(name) for name in list(batch) if name.startswith(OF_TEACHER)}
        student = layer_outputs(self.model, batch, positions, self.states)
        row_of_target = positions // attention_mask.shape[1]
        its_choices = self.task.distributions(teacher_logits, labels, row_of_target).logits
        choices = self.task.distributions(student.logits, labels, row_of_target)
        own_choices, labels, row, real = choices
        losses = self._of_probabilities(own_choices, its_choices, teacher.get(f"{OF_TEACHER}likeliest"))
        if weights.logits:
            losses = losses + weights.logits * logit_mse(own_choices, its_choices, real)
        if weights.hard_labels:
            losses = losses + weights.hard_labels * self.task.label_loss(choices)
        for loss in OF_LAYERS:
            for own, its in layer_pairs(self.distill, loss) if getattr(weights, loss) else ():
                own_states = [student.states[State(kind, own)] for kind in COMPARED[loss]]
                its_states = [teacher[f"{OF_TEACHER}{State(kind, its)}"] for kind in COMPARED[loss]]
                found = self._of_layers(loss, (own, its), own_states, its_states, attention_mask)
                found = torch.where(teacher[f"{OF_TEACHER}alike"], found, 0.0)
                losses = losses + getattr(weights, loss) * found[row]
        target_weights = torch.where(labels >= 0, self.distill.labelled_weight, 1.0)
        if row_weights is not None:
            target_weights = target_weights * row_weights[row]
        return {"loss": (target_weights * losses).sum(), "count": target_weights.sum()}

    def _of_probabilities(self, own: Tensor, its: Tensor, likeliest: Tensor | None) -> Tensor:
        """Return the weighted divergences of each choice, (choices,)."""
        weights, temperature = self.distill.losses, self.distill.temperature
        losses = torch.zeros(len(own), device=own.device)
        if weights.soft_labels:
            losses = losses + weights.soft_labels * soft_label_loss(own, its, temperature, likeliest)
        if weights.reverse_kl:
            losses = losses + weights.reverse_kl * reverse_kl_loss(own, its, temperature, likeliest)
        if weights.jensen_shannon and self.distill.jensen_shannon_share:
            share = self.distill.jensen_shannon_share
            losses = losses + weights.jensen_shannon * jensen_shannon_loss(own, its, temperature, share, likeliest)
        return losses

    def _of_layers(
        self, loss: str, pair: tuple[int, int], own: list[Tensor], its: list[Tensor], attention_mask: Tensor
    ) -> Tensor:
        """Return what a pair of layers loses in each row, (rows,)."""
        if loss == "hidden_states":
            return hidden_state_loss(own[0], its[0], self.projections[_name(pair)], attention_mask)
        if loss == "hidden_cosines":
            same = own[0].shape[-1] == its[0].shape[-1]
            states = own[0] if same else own[0].float() @ self.projections[_name(pair)]
            return hidden_cosine_loss(states, its[0], attention_mask)
        between = len(own) == 2  # queries and keys, in the models' own heads
        heads: Any = self.model.config.num_attention_heads if between else self.distill.relation_heads
        student, teacher = (scaled_products(states[0], states[-1], heads) for states in (own, its))
        compare = attention_loss if loss == "attentions" else relation_loss
        return compare(student, teacher, attention_mask)


def layer_pairs(distill: AnyLessons, loss: str) -> list[tuple[int, int]]:
    """Return the (student, teacher) layers that a loss compares; embeddings, layer 0, have no attention."""
    pairs = distill.relation_map if loss in OF_RELATION_MAP else distill.layer_map
    return [(own, its) for own, its in pairs if COMPARED[loss] == ("hidden_states",) or (own and its)]


def states_compared(distill: AnyLessons, *, student: bool) -> tuple[State, ...]:
    """Return what the losses read of the layers of the student, or of the teacher: what its cache has to hold."""
    side, weights = (0 if student else 1), distill.losses
    read = {
        State(kind, pair[side])
        for loss in OF_LAYERS
        if getattr(weights, loss)
        for pair in layer_pairs(distill, loss)
        for kind in COMPARED[loss]
    }
    return tuple(sorted(read))


def _name(pair: tuple[int, int]) -> str:
    return "{}_{}".format(*pair)
