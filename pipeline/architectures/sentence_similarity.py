"""Two texts encoded each by itself, and how alike they are: the cosine of their mean hidden states.

Source: Reimers & Gurevych 2019, "Sentence-BERT", section 3, whose cosine regression trains them.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertModel, RobertaModel
from transformers.modeling_outputs import SequenceClassifierOutput

from pipeline.architectures.pooling import pooled


class EncodesApart:
    """Put before an encoder's class: its `logits` for a row of two texts, (rows, 1), are their cosine.

    The weights are the encoder's own and nothing else, so that `AutoModel` loads what is saved.
    """

    config: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config, add_pooling_layer=False)  # type: ignore[call-arg]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> SequenceClassifierOutput:
        """Return the cosines; token_type_ids, int64 (rows, length), are 1 at the second text of each row."""
        ids, mask = texts_apart(input_ids, attention_mask, token_type_ids, self.config.pad_token_id)
        encoded: Any = super().forward(input_ids=ids, attention_mask=mask)  # type: ignore[misc]
        first, second = pooled(encoded.last_hidden_state, mask, "mean").chunk(2)
        return SequenceClassifierOutput(logits=F.cosine_similarity(first, second)[:, None])


class BertForSentenceSimilarity(EncodesApart, BertModel):
    """A BERT that encodes two texts apart; its name in config.json tells the task, transformers has no such class."""


class RobertaForSentenceSimilarity(EncodesApart, RobertaModel):
    """A RoBERTa that does the same."""


def texts_apart(
    input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, pad_token_id: int
) -> tuple[Tensor, Tensor]:
    """Return ids and mask of all first texts, then of all second texts: int64 (2 x rows, longest text).

    A row holds the second text behind the first, each framed by itself; all arguments are int64 (rows, length).
    """
    second = token_type_ids.sum(dim=1)
    lengths = torch.stack([attention_mask.sum(dim=1) - second, second])
    starts = torch.stack([torch.zeros_like(second), lengths[0]])
    places = torch.arange(int(lengths.max()), device=input_ids.device)
    inside = places < lengths[:, :, None]
    chosen = torch.where(inside, starts[:, :, None] + places, 0)
    ids = input_ids.expand(2, -1, -1).gather(2, chosen).masked_fill(~inside, pad_token_id)
    return ids.flatten(0, 1), inside.flatten(0, 1).long()
