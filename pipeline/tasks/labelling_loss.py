"""What labels teach a model: the weighted sum of a task's losses over the tokens that carry one."""

from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.architectures.classifier import target_logits


class Distributions(NamedTuple):
    """Choices among K each: their logits (choices, K), and int64 (choices,) the right one, -1 for none, and the row.

    real: bool (choices, K), which of the K a choice has, None where each has all; the logits of others are so low that
    their probability is exactly 0.
    """

    logits: Tensor
    labels: Tensor
    rows: Tensor
    real: Tensor | None = None


class Labelling(Protocol):
    """What the loss needs of a task: what its labels are compared with, and how."""

    def distributions(self, logits: Tensor, labels: Tensor, rows: Tensor) -> Distributions:
        """Return what is to be compared with the labels of targets."""

    def label_loss(self, choices: Distributions, label_smoothing: float = 0.0) -> Tensor:
        """Return what choices lose against their labels, (choices,)."""


class LabellingLoss(nn.Module):
    """A model and its task's `label_loss`, as a weighted sum over the targets and the sum of their weights.

    A target weighs what its row does, 1 where rows have no weights.

    With `consistency`, a row is read twice in training, each time with its own dropout: Wu et al. 2021 (R-Drop),
    equation 4, halved so that the cross-entropy keeps its size.
    """

    def __init__(
        self, task: Labelling, model: nn.Module, label_smoothing: float = 0.0, consistency: float = 0.0
    ) -> None:
        super().__init__()
        self.task, self.model = task, model
        self.label_smoothing, self.consistency = label_smoothing, consistency

    def forward(
        self, positions: Tensor, labels: Tensor, row_weights: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """Return {"loss", "count"}; shapes as `collate` makes them."""
        readings = 2 if self.consistency and self.training else 1
        size, length = inputs["input_ids"].numel(), inputs["input_ids"].shape[1]
        places = torch.cat([positions + reading * size for reading in range(readings)])
        repeated = {name: value.repeat(readings, 1) for name, value in inputs.items()}
        logits = target_logits(self.model, repeated, places).float()
        found = self.task.distributions(logits, torch.cat([labels] * readings), places // length)
        losses = self.task.label_loss(found, self.label_smoothing)
        weights = None if row_weights is None else row_weights.repeat(readings)[found.rows]
        loss = _weighted_sum(losses, weights) / readings
        first = None if weights is None else weights[: len(weights) // readings]
        if readings == 2:
            loss = loss + self.consistency * _weighted_sum(disagreement(*found.logits.chunk(2)), first)
        count = torch.tensor(len(found.labels) // readings, device=loss.device) if first is None else first.sum()
        return {"loss": loss, "count": count}


def _weighted_sum(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.sum() if weights is None else (weights * values).sum()


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Return ½ (KL(p ‖ q) + KL(q ‖ p)) of each target, zero for equal logits: Wu et al. 2021 (R-Drop), equation 2.

    p and q are the probabilities of two readings of the same targets; logits: (targets, classes).
    """
    p, q = F.log_softmax(first, dim=-1), F.log_softmax(second, dim=-1)
    return ((p.exp() - q.exp()) * (p - q)).sum(dim=-1) / 2


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log softmax(logits)_label in float64; logits: (targets, classes), labels: (targets,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_softmax[np.arange(len(labels)), labels].mean())
