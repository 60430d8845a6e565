"""What the student sees and what it is marked by: rows with the teacher's word on each, and the weighted losses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from pipeline.distillation.intermediate import Layers, layer_outputs
from pipeline.distillation.losses import (
    attention_loss,
    hidden_state_loss,
    likeliest_label_loss,
    logit_mse,
    soft_label_loss,
)
from pipeline.distillation.teacher_cache import TeacherOutputs, TeacherRow
from pipeline.params import DistillParams

OF_TEACHER = "teacher_"  # how the names of the teacher's outputs begin in a batch


class Lessons(Dataset[tuple[Any, TeacherRow]]):
    """Rows of a task, each paired with what the teacher says about it."""

    def __init__(self, rows: Sequence[Any], teacher: TeacherOutputs) -> None:
        if len(rows) != len(teacher):
            raise ValueError(f"got {len(rows)} rows and the teacher's outputs for {len(teacher)}, expected as many")
        self.rows, self.teacher = rows, teacher

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Any:
        return self.rows[row], self.teacher[row]


def with_teacher(batch: dict[str, Tensor], teacher: Sequence[TeacherRow]) -> dict[str, Tensor]:
    """Add the teacher's outputs to a collated batch, padded like it.

    teacher_logits: (targets, classes); teacher_likeliest: int64 (targets, k), where no more classes were kept;
    teacher_hidden_states_L: (rows, length, width) and teacher_attentions_L:
    (rows, heads, length, length) for each layer L that was kept; float32.
    """
    rows, length = batch["input_ids"].shape
    batch = batch | {f"{OF_TEACHER}logits": torch.from_numpy(np.concatenate([row.logits for row in teacher]))}
    if teacher[0].likeliest is not None:
        classes = np.concatenate([row.likeliest for row in teacher if row.likeliest is not None])
        batch[f"{OF_TEACHER}likeliest"] = torch.from_numpy(classes.astype(np.int64))
    for layer, first in teacher[0].hidden_states.items():
        states = torch.zeros(rows, length, first.shape[-1])
        for index, row in enumerate(teacher):
            own = row.hidden_states[layer]
            states[index, : len(own)] = torch.from_numpy(own.astype(np.float32))
        batch[f"{OF_TEACHER}hidden_states_{layer}"] = states
    for layer, first in teacher[0].attentions.items():
        scores = torch.zeros(rows, first.shape[-1], length, length)
        for index, row in enumerate(teacher):
            own = row.attentions[layer]
            scores[index, :, : len(own), : len(own)] = torch.from_numpy(own.astype(np.float32)).permute(2, 0, 1)
        batch[f"{OF_TEACHER}attentions_{layer}"] = scores
    return batch


class DistillationLoss(nn.Module):
    """A student and the weighted sum of its distillation losses, with the projections W_h of TinyBERT's equation 8.

    task: as pipeline.tasks has it; it says which choices the logits of targets stand for, and what they lose against
    their labels (`hard_labels`; Hinton et al. 2015, section 2, the second of their two objectives, at temperature 1).
    """

    def __init__(self, task: Any, student: PreTrainedModel, distill: DistillParams, teacher_width: int) -> None:
        super().__init__()
        self.task, self.model = task, student
        self.distill = distill
        self.layers = student_layers(distill)
        self.projections = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(student.config.hidden_size, teacher_width))
            for _ in hidden_state_pairs(distill)
        )

    def forward(self, positions: Tensor, labels: Tensor, teacher_logits: Tensor, **batch: Tensor) -> dict[str, Tensor]:
        """Return {"loss": weighted sum over the choices, "count": sum of the choices' weights}.

        A choice with a label weighs `labelled_weight`, one without (-1) weighs 1 and has no hard-label loss. What the
        layers of a row lose counts for each of its choices. The batch is what `with_teacher` returns.
        """
        weights, attention_mask = self.distill.losses, batch["attention_mask"]
        teacher = {name: batch.pop(name) for name in list(batch) if name.startswith(OF_TEACHER)}
        student = layer_outputs(self.model, batch, positions, self.layers)
        row_of_target = positions // attention_mask.shape[1]
        its_choices = self.task.distributions(teacher_logits, labels, row_of_target).logits
        its_likeliest = teacher.get(f"{OF_TEACHER}likeliest")
        choices = self.task.distributions(student.logits, labels, row_of_target)
        own_choices, labels, row, real = choices
        losses = torch.zeros(len(labels), device=labels.device)
        if weights.soft_labels:
            temperature = self.distill.temperature
            divergence = (
                soft_label_loss(own_choices, its_choices, temperature)
                if its_likeliest is None
                else likeliest_label_loss(own_choices, its_choices, its_likeliest, temperature)
            )
            losses = losses + weights.soft_labels * divergence
        if weights.logits:
            losses = losses + weights.logits * logit_mse(own_choices, its_choices, real)
        if weights.hard_labels:
            losses = losses + weights.hard_labels * self.task.label_loss(choices)
        for (own, its), projection in zip(hidden_state_pairs(self.distill), self.projections, strict=True):
            states, target = student.hidden_states[own], teacher[f"{OF_TEACHER}hidden_states_{its}"]
            distance = hidden_state_loss(states, target, projection, attention_mask)
            losses = losses + weights.hidden_states * distance[row]
        for own, its in attention_pairs(self.distill):
            scores, target = student.attentions[own], teacher[f"{OF_TEACHER}attentions_{its}"]
            losses = losses + weights.attentions * attention_loss(scores, target, attention_mask)[row]
        target_weights = torch.where(labels >= 0, self.distill.labelled_weight, 1.0)
        return {"loss": (target_weights * losses).sum(), "count": target_weights.sum()}


def hidden_state_pairs(distill: DistillParams) -> list[tuple[int, int]]:
    """Return the (student, teacher) layers whose hidden states are compared."""
    return [(own, its) for own, its in distill.layer_map] if distill.losses.hidden_states else []


def attention_pairs(distill: DistillParams) -> list[tuple[int, int]]:
    """Return the (student, teacher) layers whose attention is compared; embeddings, layer 0, have none."""
    return [(own, its) for own, its in distill.layer_map if own and its] if distill.losses.attentions else []


def student_layers(distill: DistillParams) -> Layers:
    """Return the layers of the student that the losses read."""
    return _layers(distill, 0)


def teacher_layers(distill: DistillParams) -> Layers:
    """Return the layers of the teacher that the losses read: what its cache has to hold."""
    return _layers(distill, 1)


def _layers(distill: DistillParams, side: int) -> Layers:
    states = {pair[side] for pair in hidden_state_pairs(distill)}
    scores = {pair[side] for pair in attention_pairs(distill)}
    return Layers(tuple(sorted(states)), tuple(sorted(scores)))
