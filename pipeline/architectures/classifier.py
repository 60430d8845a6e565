"""Logits of a classifier at the tokens that carry a label, without the work that no logit depends on."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    ModernBertForMaskedLM,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
    RobertaForTokenClassification,
)

from pipeline.architectures.averaged import AveragedModel, mean
from pipeline.architectures.exported import ExportedModel
from pipeline.architectures.sentence_similarity import EncodesApart

# what scores the words of a masked language model, by its model_type
WORD_SCORES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda model, states: model.cls(states),
    "roberta": lambda model, states: model.lm_head(states),
    "modernbert": lambda model, states: model.decoder(model.head(states)),
}


def target_logits(model: nn.Module, inputs: Mapping[str, Tensor], positions: Tensor) -> Tensor:
    """Return the logits, (targets, classes), of the tokens at `positions` of the flattened batch.

    inputs: input_ids, attention_mask and, where rows have a second text, token_type_ids, all int64 (rows, length);
    positions: int64 (targets,). A model that gives a whole row one answer reads its own token of each row, and
    `positions` has to hold one for each row in order. The numbers are those of transformers' own forward but for the
    order of rounding.
    """
    if isinstance(model, AveragedModel):
        return mean([target_logits(member, inputs, positions) for member in model.members])
    inputs = accepted(model, inputs)
    if isinstance(model, BertForSequenceClassification):
        return _first_token_logits(model, **inputs)
    if isinstance(model, BertForTokenClassification | RobertaForTokenClassification):
        states = model.base_model(**inputs).last_hidden_state
        return model.classifier(model.dropout(states.flatten(0, 1).index_select(0, positions)))
    if isinstance(model, BertForQuestionAnswering | RobertaForQuestionAnswering):
        states = model.base_model(**inputs).last_hidden_state
        return model.qa_outputs(states.flatten(0, 1).index_select(0, positions))
    if isinstance(model, GPT2LMHeadModel | LlamaForCausalLM):
        states = model.base_model(**inputs, use_cache=False).last_hidden_state
        return model.lm_head(states.flatten(0, 1).index_select(0, positions))
    if predicts_masked_tokens(model):
        encoder: Any = model.base_model
        return word_scores(model, encoder(**inputs).last_hidden_state, positions)
    return at_targets(logits_of(model(**inputs)), positions)


def predicts_masked_tokens(model: nn.Module) -> bool:
    """Whether a model is a masked language model, whose classes are its words: too many to score every token."""
    return isinstance(model, BertForMaskedLM | RobertaForMaskedLM | ModernBertForMaskedLM)


def word_scores(model: Any, states: Tensor, positions: Tensor) -> Tensor:
    """Return the scores of all words, (positions, vocabulary), at `positions` of the flattened last hidden states."""
    return WORD_SCORES[model.config.model_type](model, states.flatten(0, 1).index_select(0, positions))


def accepted(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the inputs that the model's family knows: RoBERTa and GPT have no token types to tell two texts apart.

    A model that encodes them apart needs the types to know where the second begins, one that was exported takes them.
    """
    known = (
        isinstance(model, EncodesApart | ExportedModel)
        or getattr(getattr(model, "config", None), "type_vocab_size", 1) > 1
    )
    return {name: value for name, value in inputs.items() if known or name != "token_type_ids"}


def logits_of(output: Any) -> Tensor:
    """Return the logits in what a model puts out; those of an answer's start and of its end make two classes."""
    if hasattr(output, "start_logits"):
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    logits: Tensor = output.logits
    return logits


def at_targets(logits: Tensor, positions: Tensor) -> Tensor:
    """Return the logits, (targets, classes), that belong to `positions` of the flattened batch.

    logits: (rows, classes), one answer for each row, or (rows, length, classes), one for each token.
    """
    return logits if logits.ndim == 2 else logits.flatten(0, 1).index_select(0, positions)


def _first_token_logits(
    model: BertForSequenceClassification,
    input_ids: Tensor,
    attention_mask: Tensor,
    token_type_ids: Tensor | None = None,
) -> Tensor:
    """Return the logits of [CLS], (rows, classes).

    BERT's classifier reads [CLS] alone, so its last layer is computed for that position alone, from the keys and values
    of all; without dropout of attention maps, which no model here has.
    """
    bert: Any = model.bert
    *layers, last = bert.encoder.layer
    states = bert.embeddings(input_ids, token_type_ids)
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
