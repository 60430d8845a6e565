"""ModernBERT as transformers implements it, of any size. Source: Warner et al. 2024, "ModernBERT", section 2.

A BERT with rotary positions, gated feed-forward layers, LayerNorm before each block and attention that in two layers of
three looks near; it has neither token types nor a pooler.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import (
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForQuestionAnswering,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
    PreTrainedModel,
)

from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.loading import load_weights

if TYPE_CHECKING:
    from pipeline.params import ArchitectureParams

HEADS: dict[str, type[PreTrainedModel]] = {
    "masked_lm": ModernBertForMaskedLM,
    "text_classification": ModernBertForSequenceClassification,
    "multi_label_classification": ModernBertForSequenceClassification,
    "token_classification": ModernBertForTokenClassification,
    "question_answering": ModernBertForQuestionAnswering,
}
ALWAYS: dict[str, Any] = {"attention_dropout": 0.0}  # as BERT's


def dropout_settings(dropout: float) -> dict[str, Any]:
    """Return the keys of ModernBertConfig that give embeddings, feed-forward layers and head this dropout."""
    return {"embedding_dropout": dropout, "mlp_dropout": dropout, "classifier_dropout": dropout, **ALWAYS}


def build(
    architecture: "ArchitectureParams", *, head: str, vocabulary_size: int, pad_token_id: int, **settings: Any
) -> PreTrainedModel:
    """Return a ModernBERT with random weights, drawn from torch's generator, and the head that HEADS names.

    `architecture.dropout` is that of embeddings and feed-forward layers; attention maps have none. `settings` are
    further keys of transformers' ModernBertConfig, such as `id2label`.
    """
    assert architecture.attention_heads is not None  # pipeline.params refuses null for this family
    # those that transformers would put there are of another vocabulary
    unnamed: dict[str, Any] = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    config = ModernBertConfig(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.hidden_size,
        num_attention_heads=architecture.attention_heads,
        intermediate_size=architecture.intermediate_size,
        max_position_embeddings=architecture.max_length,
        **(unnamed | dropout_settings(architecture.dropout) | settings),
    )
    config._attn_implementation = attention_implementation()
    return HEADS[head](config)


def load(folder: Path, *, head: str) -> PreTrainedModel:
    """Return the ModernBERT in `folder` with the pretraining head that HEADS names, a new one where there is none.

    Raises InputError where the folder holds no ModernBERT or not all of its encoder.
    """
    model: PreTrainedModel = load_weights(HEADS[head], folder, **ALWAYS)[0]
    return model
