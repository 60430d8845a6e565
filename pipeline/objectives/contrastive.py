"""Contrastive learning of sentence vectors: a sentence is nearer to itself than to the others of its batch.

Source: Gao et al. 2021, "SimCSE": equation 4 without pairs, where the same sentence is encoded twice, each time with
its own dropout; equation 1 with them, where the second text of a row is the positive of the first.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.architectures.classifier import word_scores
from pipeline.architectures.pooling import pooled
from pipeline.objectives.masking import Masking
from pipeline.objectives.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.params import ContrastiveParams, PretrainParams


class Contrastive:
    """Batches and loss over sentences, or pairs of them, padded to one length.

    masking: draws the masks of the masked LM that is learnt beside it, None where none is.
    """

    arrays = ("input_ids",)  # the files of a tokenized corpus that its rows come from

    def __init__(self, settings: "ContrastiveParams", pad_token_id: int, masking: Masking | None) -> None:
        self.settings, self.pad_token_id, self.masking = settings, pad_token_id, masking

    @classmethod
    def from_params(cls, pretrain: "PretrainParams", vocabulary: Vocabulary) -> "Contrastive":
        """Return the objective that the section `pretrain` describes."""
        assert pretrain.contrastive is not None  # pipeline.params refuses null for this objective
        masking = Masking.from_params(pretrain, vocabulary) if pretrain.contrastive.masked_lm else None
        return cls(pretrain.contrastive, vocabulary.ids["pad_token_id"], masking)

    def rows(self, input_ids: np.ndarray) -> np.ndarray:
        """Return the rows, (rows, texts, length), as `collate` takes them; a row is one text or a pair."""
        return input_ids

    def collate(self, rows: Sequence[np.ndarray], generator: np.random.Generator) -> dict[str, Tensor]:
        """Put N rows of ids, (texts, length) each, below each other, cut to the longest text among them.

        Returns input_ids and attention_mask, int64 (2 N, longest): every first text, then every second one, or the
        first once more. With masked LM N masked first texts follow, (3 N, longest), and there are positions of the
        chosen tokens in the flattened batch, int64 (chosen,), and labels, their true ids.
        """
        ids = np.stack(rows).swapaxes(0, 1)
        ids = ids[:, :, : int((ids != self.pad_token_id).sum(axis=2).max())].astype(np.int64)
        first, second = ids[0], ids[-1]
        batch, targets = [first, second], {}
        if self.masking is not None:
            masked, chosen = self.masking.apply(first, generator)
            batch.append(masked)
            targets = {
                "positions": torch.from_numpy(2 * first.size + np.flatnonzero(chosen)),
                "labels": torch.from_numpy(first[chosen]),
            }
        real = np.concatenate([first, second, first][: len(batch)]) != self.pad_token_id
        return {
            "input_ids": torch.from_numpy(np.concatenate(batch)),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
            **targets,
        }

    def loss(self, model: nn.Module) -> nn.Module:
        """Return the module that a batch of `collate` goes into."""
        return ContrastiveLoss(model, self.settings)


class ContrastiveLoss(nn.Module):
    """A model and its contrastive loss, summed over the sentences; with masked LM, that at its weight.

    The others of a batch are what a sentence is told apart from, so the loss of a batch is not that of its parts.
    """

    def __init__(self, model: nn.Module, settings: "ContrastiveParams") -> None:
        super().__init__()
        self.model: Any = model
        self.settings = settings

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        positions: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return {"loss", "count": sentences}; shapes as `Contrastive.collate` makes them.

        The mean over chosen tokens counts once for each sentence: ℓ + λ ℓ_mlm (Gao et al. 2021, section 3.1 and
        appendix), whatever the number of sentences.
        """
        states = self.model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        count = len(input_ids) // (2 if positions is None else 3)
        vectors = pooled(states[: 2 * count], attention_mask[: 2 * count], self.settings.pooling)
        first, second = vectors.chunk(2)
        loss = contrastive_loss(first, second, self.settings.temperature).sum()
        if positions is not None and labels is not None and len(labels):
            scores = word_scores(self.model, states, positions)
            loss = loss + self.settings.masked_lm * count * F.cross_entropy(scores.float(), labels)
        return {"loss": loss, "count": torch.tensor(count, device=loss.device)}


def contrastive_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return -log(exp(sim(h_i, h_i⁺) / τ) / Σ_j exp(sim(h_i, h_j⁺) / τ)) of each row; sim is the cosine.

    Gao et al. 2021 (SimCSE), equation 1. first: h, second: h⁺, (rows, width).
    """
    cosines = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    return F.cross_entropy(cosines / temperature, torch.arange(len(first), device=first.device), reduction="none")
