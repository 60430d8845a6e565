"""Logits of a sequence classifier without the work that no logit depends on."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification


def class_logits(model: nn.Module, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the logits, (rows, classes), that `model(input_ids, attention_mask).logits` would be.

    input_ids, attention_mask: int64 (rows, length). BERT's classifier reads [CLS] alone, so its last layer is computed
    for that position alone, from the keys and values of all: the numbers are transformers' own but for the order of
    rounding. It computes without dropout of attention maps, which no model here has. Another family's model is called
    as it is.
    """
    if not isinstance(model, BertForSequenceClassification):
        return model(input_ids=input_ids, attention_mask=attention_mask).logits
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
