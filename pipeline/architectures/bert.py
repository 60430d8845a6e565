"""BERT as transformers implements it, of any size. Source: Devlin et al. 2019, "BERT", section 3."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    PreTrainedModel,
)
from transformers.utils import logging

from pipeline.architectures.attention import attention_implementation
from pipeline.files import InputError, read_json
from pipeline.params import ArchitectureParams

HEADS: dict[str, type[PreTrainedModel]] = {
    "masked_lm": BertForMaskedLM,
    "masked_lm_next_sentence": BertForPreTraining,
    "text_classification": BertForSequenceClassification,
}
# the maps are the largest tensors of a long row, and fused attention on a card has no dropout to give
ALWAYS: dict[str, Any] = {"attention_probs_dropout_prob": 0.0}


def build(
    architecture: ArchitectureParams, *, head: str, vocabulary_size: int, pad_token_id: int, **settings: Any
) -> PreTrainedModel:
    """Return a BERT with random weights, drawn from torch's generator, and the head that HEADS names.

    `architecture.dropout` is that of hidden states and embeddings; attention maps have none. `settings` are further
    keys of transformers' BertConfig, such as `id2label`.
    """
    config = BertConfig(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.hidden_size,
        num_attention_heads=architecture.attention_heads,
        intermediate_size=architecture.intermediate_size,
        max_position_embeddings=architecture.max_length,
        hidden_dropout_prob=architecture.dropout,
        **ALWAYS,
        **settings,
    )
    config._attn_implementation = attention_implementation()
    return HEADS[head](config)


def load(folder: Path, *, head: str) -> PreTrainedModel:
    """Return the BERT in `folder` with the pretraining head that HEADS names; what the folder lacks is drawn at random.

    An encoder without a masked-LM head gets a new one, its decoder tied to the word embeddings. A pooler that comes
    with the encoder stays in the model, though masked LM alone does not train it: fine-tuning starts from it.
    Raises InputError where the folder holds no BERT or not all of its encoder.
    """
    family = read_json(folder / "config.json").get("model_type")
    if family != "bert":
        raise InputError(f"{folder}/config.json: model_type is {family}, expected bert")
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the report of new and unused weights is what the lines below deal with
    try:
        settings = ALWAYS | {"attn_implementation": attention_implementation(), "dtype": torch.float32}
        loaded: Any = BertForPreTraining.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, **settings
        )
    finally:
        logging.set_verbosity(verbosity)
    whole, report = loaded
    missing = {key for key in report["missing_keys"] if key.startswith("bert.")}
    encoder_missing = {key for key in missing if not key.startswith("bert.pooler.")}
    if encoder_missing or report["mismatched_keys"]:
        name = min(encoder_missing or {str(key) for key in report["mismatched_keys"]})
        raise InputError(f"{folder}: no fitting weights for {name}, expected those of a whole encoder")
    if head == "masked_lm_next_sentence":
        return whole
    model = BertForMaskedLM(whole.config)
    model.bert, model.cls.predictions = whole.bert, whole.cls.predictions
    if missing:
        model.bert.pooler = None
    return model
