"""Several models of one task that answer as one. torch alone."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn


class AveragedModel(nn.Module):
    """Models that differ in their seeds alone, and the mean of their logits.

    The mean of logits is the geometric mean of probabilities, which Hinton et al. 2015, section 1, have beside the
    arithmetic one as the target of a student that learns from an ensemble.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config = members[0].config

    def forward(self, **inputs: Tensor) -> Any:
        """Return an object with the mean of each kind of logits that the members put out, float32."""
        said = [member(**inputs) for member in self.members]
        kinds = [name for name in ("logits", "start_logits", "end_logits") if hasattr(said[0], name)]
        return SimpleNamespace(**{name: mean([getattr(output, name) for output in said]) for name in kinds})


def averaged(members: Sequence[nn.Module]) -> Any:
    """Return the models as one that answers by their mean; a single one as it is."""
    return members[0] if len(members) == 1 else AveragedModel(members)


def mean(logits: Sequence[Tensor]) -> Tensor:
    """Return the mean of logits of one shape, float32."""
    return torch.stack([own.float() for own in logits]).mean(dim=0)
