"""Causal language modelling: predict every token from those before it. Source: Radford et al. 2018, equation 1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.objectives.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.params import PretrainParams


class CausalLM:
    """Batches and loss of causal LM over packed sequences of equal length, documents ended by `end_token_id`.

    A token sees those before it in its own document and predicts the next one there; its position counts from the
    document's first token in the sequence. With `across_documents` the sequence is one text: its tokens see all
    documents before theirs, and what ends one predicts how the next begins.
    """

    arrays = ("input_ids",)  # the files of a tokenized corpus that its rows come from

    def __init__(self, end_token_id: int, *, across_documents: bool) -> None:
        self.end_token_id, self.across_documents = end_token_id, across_documents

    @classmethod
    def from_params(cls, pretrain: "PretrainParams", vocabulary: Vocabulary) -> "CausalLM":
        """Return the objective that the section `pretrain` describes."""
        assert pretrain.across_documents is not None  # pipeline.params refuses null for this objective
        return cls(vocabulary.ids["sep_token_id"], across_documents=pretrain.across_documents)

    def rows(self, input_ids: np.ndarray) -> np.ndarray:
        """Return the sequences, (rows, length), as `collate` takes them."""
        return input_ids

    def collate(self, rows: Sequence[np.ndarray], generator: np.random.Generator) -> dict[str, Tensor]:
        """Find in the rows, one array of ids (length,) each, where documents begin and what is to be predicted.

        Returns input_ids and position_ids, int64 (rows, length); positions of the tokens that have a next one, in the
        flattened batch, int64 (predicted,); labels, the ids of those next ones, int64 (predicted,).
        """
        ids = np.stack(rows).astype(np.int64)
        ends = np.zeros(ids.shape, dtype=bool) if self.across_documents else ids == self.end_token_id
        place = np.arange(ids.shape[1])
        begins = np.zeros_like(ids)
        begins[:, 1:] = np.where(ends[:, :-1], place[1:], 0)
        predicting = ~ends
        predicting[:, -1] = False
        return {
            "input_ids": torch.from_numpy(ids),
            "position_ids": torch.from_numpy(place - np.maximum.accumulate(begins, axis=1)),
            "positions": torch.from_numpy(np.flatnonzero(predicting)),
            "labels": torch.from_numpy(ids[:, 1:][predicting[:, :-1]]),
        }

    def loss(self, model: nn.Module) -> nn.Module:
        """Return the module that a batch of `collate` goes into."""
        return CausalLMLoss(model)


class CausalLMLoss(nn.Module):
    """A causal language model and its summed loss; the head, most of the work, is computed where there is a next token.

    model: transformers' GPT2LMHeadModel or LlamaForCausalLM.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, input_ids: Tensor, position_ids: Tensor, positions: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return {"loss": summed cross-entropy, "count": predicted tokens}; shapes as `CausalLM.collate` makes them."""
        # where positions begin anew, transformers keeps what is before out of sight; it does so without a cache only
        decoded = self.model.base_model(input_ids=input_ids, position_ids=position_ids, use_cache=False)
        scores = self.model.lm_head(decoded.last_hidden_state.flatten(0, 1).index_select(0, positions))
        loss = F.cross_entropy(scores.float(), labels, reduction="sum")
        return {"loss": loss, "count": torch.tensor(len(labels), device=loss.device)}
