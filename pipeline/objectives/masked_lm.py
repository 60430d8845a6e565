"""Masked language modelling: predict the tokens that were hidden. Source: Devlin et al. 2019, section 3.1, task 1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.architectures.classifier import word_scores
from pipeline.objectives.masking import Masking
from pipeline.objectives.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.params import PretrainParams


class MaskedLM:
    """Batches and loss of masked LM over packed sequences of equal length."""

    arrays = ("input_ids",)  # the files of a tokenized corpus that its rows come from

    def __init__(self, masking: Masking) -> None:
        self.masking = masking

    @classmethod
    def from_params(cls, pretrain: "PretrainParams", vocabulary: Vocabulary) -> "MaskedLM":
        """Return the objective that the section `pretrain` describes."""
        return cls(Masking.from_params(pretrain, vocabulary))

    def rows(self, input_ids: np.ndarray) -> np.ndarray:
        """Return the sequences, (rows, length), as `collate` takes them."""
        return input_ids

    def collate(self, rows: Sequence[np.ndarray], generator: np.random.Generator) -> dict[str, Tensor]:
        """Mask the rows' ids, one array of shape (length,) each.

        Returns input_ids, int64 (rows, length); positions of the chosen tokens in the flattened batch, int64 (chosen,);
        labels, their true ids, int64 (chosen,).
        """
        ids = np.stack(rows)
        masked, chosen = self.masking.apply(ids, generator)
        return {
            "input_ids": torch.from_numpy(masked),
            "positions": torch.from_numpy(np.flatnonzero(chosen)),
            "labels": torch.from_numpy(ids[chosen].astype(np.int64)),
        }

    def loss(self, model: nn.Module) -> nn.Module:
        """Return the module that a batch of `collate` goes into."""
        return MaskedLMLoss(model)


class MaskedLMLoss(nn.Module):
    """A model and its summed loss; the head, most of the work, is computed at the chosen positions only."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, input_ids: Tensor, positions: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return {"loss": summed cross-entropy, "count": chosen tokens}; shapes as `MaskedLM.collate` makes them."""
        # no attention mask: packed rows have no padding, and without one the fused kernel is at its fastest
        hidden = self.model.base_model(input_ids=input_ids).last_hidden_state
        scores = word_scores(self.model, hidden, positions)
        loss = F.cross_entropy(scores.float(), labels, reduction="sum")
        return {"loss": loss, "count": torch.tensor(len(labels), device=loss.device)}
