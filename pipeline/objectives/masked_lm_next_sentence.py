"""Masked LM together with next-sentence prediction. Source: Devlin et al. 2019, section 3.1, tasks 1 and 2."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.objectives.masking import Masking
from pipeline.objectives.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.params import PretrainParams


class SentencePair(TypedDict):
    """[CLS] A [SEP] B [SEP]: ids and segment of each token (length,); 0 where B follows A in the text, 1 where not."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    next_sentence_label: int


@dataclass(frozen=True)
class SentencePairs(Sequence[SentencePair]):
    """The pairs of a tokenized corpus."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    next_sentence_labels: np.ndarray

    def __len__(self) -> int:
        return len(self.next_sentence_labels)

    def __getitem__(self, row: Any) -> Any:
        return SentencePair(
            input_ids=self.input_ids[row],
            token_type_ids=self.token_type_ids[row],
            next_sentence_label=int(self.next_sentence_labels[row]),
        )


class MaskedLMNextSentence:
    """Batches and loss of BERT's own pretraining over sentence pairs of equal length."""

    arrays = ("input_ids", "token_type_ids", "next_sentence_labels")  # the files of a tokenized corpus

    def __init__(self, masking: Masking) -> None:
        self.masking = masking

    @classmethod
    def from_params(cls, pretrain: "PretrainParams", vocabulary: Vocabulary) -> "MaskedLMNextSentence":
        """Return the objective that the section `pretrain` describes."""
        return cls(Masking.from_params(pretrain, vocabulary))

    def rows(
        self, input_ids: np.ndarray, token_type_ids: np.ndarray, next_sentence_labels: np.ndarray
    ) -> "SentencePairs":
        """Return the pairs, arrays of (rows, length) twice and (rows,), as `collate` takes them."""
        return SentencePairs(input_ids, token_type_ids, next_sentence_labels)

    def collate(self, rows: Sequence[SentencePair], generator: np.random.Generator) -> dict[str, Tensor]:
        """Mask the pairs' ids.

        Returns input_ids and token_type_ids, int64 (rows, length); positions and labels of the chosen
        tokens, int64 (chosen,); next_sentence_labels, int64 (rows,).
        """
        ids = np.stack([row["input_ids"] for row in rows])
        types = np.stack([row["token_type_ids"] for row in rows])
        masked, chosen = self.masking.apply(ids, generator)
        return {
            "input_ids": torch.from_numpy(masked),
            "token_type_ids": torch.from_numpy(types.astype(np.int64)),
            "positions": torch.from_numpy(np.flatnonzero(chosen)),
            "labels": torch.from_numpy(ids[chosen].astype(np.int64)),
            "next_sentence_labels": torch.tensor([row["next_sentence_label"] for row in rows], dtype=torch.int64),
        }

    def loss(self, model: nn.Module) -> nn.Module:
        """Return the module that a batch of `collate` goes into."""
        return MaskedLMNextSentenceLoss(model)


class MaskedLMNextSentenceLoss(nn.Module):
    """A BertForPreTraining and its summed loss.

    BertForPreTraining adds the mean over chosen tokens to the mean over pairs. Here the pairs' sum is scaled by (chosen
    tokens / pairs), so that dividing the whole by the chosen tokens gives the same figure. Over several micro-batches
    a pair weighs by the chosen tokens of its own part, which differ between parts by chance alone.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        positions: Tensor,
        labels: Tensor,
        next_sentence_labels: Tensor,
    ) -> dict[str, Tensor]:
        """Return {"loss", "count": chosen tokens}; shapes as `MaskedLMNextSentence.collate` makes them."""
        # no attention mask: the pairs are filled, there is no padding
        encoded = self.model.bert(input_ids=input_ids, token_type_ids=token_type_ids)
        hidden = encoded.last_hidden_state.flatten(0, 1).index_select(0, positions)
        tokens, pairs = self.model.cls(hidden, encoded.pooler_output)
        token_loss = F.cross_entropy(tokens.float(), labels, reduction="sum")
        pair_loss = F.cross_entropy(pairs.float(), next_sentence_labels, reduction="mean")
        return {
            "loss": token_loss + pair_loss * len(labels),
            "count": torch.tensor(len(labels), device=token_loss.device),
        }
