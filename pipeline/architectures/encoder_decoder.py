"""Encoder and decoder as in Vaswani et al. 2017, "Attention Is All You Need": transformers' Marian, of any size.

What is made here is their model: LayerNorm behind each block, ReLU, sinusoidal positions, one matrix of embeddings for
source, target and output (section 3.4). The padding token begins what the decoder writes, as with Marian and T5, and
[SEP] ends it. Weights may also be those of a BART (Lewis et al. 2020) or a T5 (Raffel et al. 2020).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import (
    AutoConfig,
    BartForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    PreTrainedModel,
    T5ForConditionalGeneration,
)

from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.loading import load_weights

if TYPE_CHECKING:
    from pipeline.params import ArchitectureParams

HEADS: dict[str, type[PreTrainedModel]] = dict.fromkeys(
    ("text_infilling", "span_corruption", "translation", "summarization"), MarianMTModel
)
LOADED: dict[str, type[PreTrainedModel]] = {
    "marian": MarianMTModel,
    "bart": BartForConditionalGeneration,
    "t5": T5ForConditionalGeneration,
}
ALWAYS: dict[str, Any] = {"attention_dropout": 0.0, "activation_dropout": 0.0}  # of maps none, as with BERT


def dropout_settings(dropout: float) -> dict[str, Any]:
    """Return the keys of MarianConfig that give hidden states and embeddings this dropout, attention maps none."""
    return {"dropout": dropout, **ALWAYS}


def build(
    architecture: "ArchitectureParams",
    *,
    head: str,
    vocabulary_size: int,
    pad_token_id: int,
    eos_token_id: int,
    **settings: Any,
) -> PreTrainedModel:
    """Return a Marian with random weights, drawn from torch's generator, and the head that HEADS names.

    `architecture.layers` are the encoder's, `architecture.decoder_layers` the decoder's; the dropout is that of
    embeddings and hidden states. `settings` are further keys of transformers' MarianConfig.
    """
    # pipeline.params refuses null for this family
    assert architecture.decoder_layers is not None and architecture.attention_heads is not None
    config = MarianConfig(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        eos_token_id=eos_token_id,
        decoder_start_token_id=pad_token_id,
        forced_eos_token_id=None,  # a text that was cut has no end
        encoder_layers=architecture.layers,
        decoder_layers=architecture.decoder_layers,
        d_model=architecture.hidden_size,
        encoder_attention_heads=architecture.attention_heads,
        decoder_attention_heads=architecture.attention_heads,
        encoder_ffn_dim=architecture.intermediate_size,
        decoder_ffn_dim=architecture.intermediate_size,
        max_position_embeddings=architecture.max_length,
        activation_function="relu",
        scale_embedding=True,
        # embeddings of this size, times √width, are as large as the positions; and of a square matrix it is Glorot's
        init_std=architecture.hidden_size**-0.5,
        **dropout_settings(architecture.dropout),
        **settings,
    )
    config._attn_implementation = attention_implementation()
    return HEADS[head](config)


def load(folder: Path, *, head: str, **settings: Any) -> PreTrainedModel:
    """Return the Marian, BART or T5 in `folder`; `settings` replace keys of its configuration, with Marian's names.

    T5 has one dropout, of attention maps as well. Raises InputError where not all of its weights are there.
    """
    model_type = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if model_type == "t5" and "dropout" in settings:
        settings = {name: value for name, value in settings.items() if name not in ALWAYS}
        settings["dropout_rate"] = settings.pop("dropout")
    model: PreTrainedModel = load_weights(LOADED[model_type], folder, **settings)[0]
    return model
