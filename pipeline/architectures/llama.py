"""Llama as transformers implements it, of any size. Source: Touvron et al. 2023, "LLaMA", section 2.2.

A GPT with rotary positions, gated feed-forward layers and RMSNorm before each block; it has no dropout.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedModel

from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.loading import load_weights
from pipeline.files import InputError

if TYPE_CHECKING:
    from pipeline.params import ArchitectureParams

HEADS: dict[str, type[PreTrainedModel]] = {
    **dict.fromkeys(("causal_lm", "text_generation", "translation", "summarization"), LlamaForCausalLM),
    "text_classification": LlamaForSequenceClassification,  # reads the last token that is no padding
    "multi_label_classification": LlamaForSequenceClassification,
}
ALWAYS: dict[str, Any] = {"attention_dropout": 0.0}  # as BERT's


def dropout_settings(dropout: float) -> dict[str, Any]:
    """Return the keys of LlamaConfig that set dropout: it has one of attention maps alone, which stay without.

    Raises InputError where any is asked for.
    """
    if dropout:
        raise InputError(f"dropout: must be 0.0 for a llama, which has none, got {dropout}")
    return ALWAYS


def build(
    architecture: "ArchitectureParams", *, head: str, vocabulary_size: int, pad_token_id: int, **settings: Any
) -> PreTrainedModel:
    """Return a Llama with random weights, drawn from torch's generator, its head that HEADS names tied to its words.

    `settings` are further keys of transformers' LlamaConfig, such as `id2label`.
    """
    assert architecture.attention_heads is not None  # pipeline.params refuses null for this family
    # those that transformers would put there are of another vocabulary
    unnamed: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.hidden_size,
        num_attention_heads=architecture.attention_heads,
        intermediate_size=architecture.intermediate_size,
        max_position_embeddings=architecture.max_length,
        tie_word_embeddings=True,
        **(unnamed | dropout_settings(architecture.dropout) | settings),
    )
    config._attn_implementation = attention_implementation()
    return HEADS[head](config)


def load(folder: Path, *, head: str, **settings: Any) -> PreTrainedModel:
    """Return the Llama in `folder` with the pretraining head that HEADS names.

    `settings` replace keys of its configuration.
    Raises InputError where the folder holds no Llama or not all of its decoder.
    """
    model: PreTrainedModel = load_weights(HEADS[head], folder, **(ALWAYS | settings))[0]
    return model
