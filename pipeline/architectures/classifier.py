"""Logits of a classifier at the tokens that carry a label, without the work that no logit depends on."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification, BertForTokenClassification, RobertaForTokenClassification


def target_logits(model: nn.Module, input_ids: Tensor, attention_mask: Tensor, positions: Tensor) -> Tensor:
    """Return the logits, (targets, classes), of the tokens at `positions` of the flattened batch.

    input_ids, attention_mask: int64 (rows, length); positions: int64 (targets,). A model that gives a whole row one
    answer reads its own token of each row, and `positions` has to hold one for each row in order. The numbers are those
    of transformers' own forward but for the order of rounding.
    """
    if isinstance(model, BertForSequenceClassification):
        return _first_token_logits(model, input_ids, attention_mask)
    if isinstance(model, BertForTokenClassification | RobertaForTokenClassification):
        states = model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return model.classifier(model.dropout(states.flatten(0, 1).index_select(0, positions)))
    logits: Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
    return at_targets(logits, positions)


def at_targets(logits: Tensor, positions: Tensor) -> Tensor:
    """Return the logits, (targets, classes), that belong to `positions` of the flattened batch.

    logits: (rows, classes), one answer for each row, or (rows, length, classes), one for each token.
    """
    return logits if logits.ndim == 2 else logits.flatten(0, 1).index_select(0, positions)


def _first_token_logits(model: BertForSequenceClassification, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the logits of [CLS], (rows, classes).

    BERT's classifier reads [CLS] alone, so its last layer is computed for that position alone, from the keys and values
    of all; without dropout of attention maps, which no model here has.
    """
    bert: Any = model.bert
    *layers, last = bert.encoder.layer
    states = bert.embeddings(input_ids)
    mask = torch.zeros(attention_mask.shape, dtype=states.dtype, device=states.device)
    mask = mask.masked_fill_(attention_mask == 0, torch.finfo(states.dtype).min)[:, None, None, :]
    for layer in layers:
        states = layer(states, mask)
    first = states[:, :1]
    attention = last.attention.self
    query, key, value = (
        projection(inputs).unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
        for projection, inputs in ((attention.query, first), (attention.key, states), (attention.value, states))
    )
    weights = torch.softmax(query @ key.transpose(-1, -2) * attention.scaling + mask, dim=-1)
    context = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
    states = last.feed_forward_chunk(last.attention.output(context, first))
    return model.classifier(model.dropout(bert.pooler(states)))
