"""Masked LM together with next-sentence prediction. Source: Devlin et al. 2019, section 3.1, tasks 1 and 2."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.objectives.masking import Masking


class SentencePair(TypedDict):
    """[CLS] A [SEP] B [SEP]: ids and segment of each token (length,); 0 where B follows A in the text, 1 where not."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    next_sentence_label: int


class MaskedLMNextSentence:
    """Batches and loss of BERT's own pretraining over sentence pairs of equal length."""

    def __init__(self, masking: Masking, pad_token_id: int) -> None:
        self.masking, self.pad_token_id = masking, pad_token_id

    def collate(self, rows: Sequence[SentencePair], generator: np.random.Generator) -> dict[str, Tensor]:
        """Mask the pairs' ids.

        Returns input_ids, attention_mask and token_type_ids, int64 (rows, length); positions and labels of the chosen
        tokens, int64 (chosen,); next_sentence_labels, int64 (rows,).
        """
        ids = np.stack([row["input_ids"] for row in rows])
        types = np.stack([row["token_type_ids"] for row in rows])
        masked, chosen = self.masking.apply(ids, generator)
        return {
            "input_ids": torch.from_numpy(masked),
            "attention_mask": torch.from_numpy((ids != self.pad_token_id).astype(np.int64)),
            "token_type_ids": torch.from_numpy(types.astype(np.int64)),
            "positions": torch.from_numpy(np.flatnonzero(chosen)),
            "labels": torch.from_numpy(ids[chosen].astype(np.int64)),
            "next_sentence_labels": torch.tensor([row["next_sentence_label"] for row in rows], dtype=torch.int64),
        }

    def loss(self, model: nn.Module) -> nn.Module:
        """Return the module that a batch of `collate` goes into."""
        return MaskedLMNextSentenceLoss(model)


