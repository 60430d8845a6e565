"""Marian of any size: where its dropout is, what is tied, how it starts and ends a text, what a folder gives back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from transformers import BartConfig, BartForConditionalGeneration, MarianMTModel, T5Config, T5ForConditionalGeneration

from pipeline.architectures import ARCHITECTURES, encoder_decoder, family_of
from pipeline.architectures.limits import longest_row
from pipeline.params import ArchitectureParams

SHAPE = {
    "family": "encoder_decoder", "layers": 3, "decoder_layers": 1, "hidden_size": 16, "attention_heads": 2,
    "intermediate_size": 24, "max_length": 20, "dropout": 0.25,
}  # fmt: skip
SMALL_BART: dict[str, Any] = {
    "vocab_size": 50, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 30,
}  # fmt: skip


def build(head: str = "translation") -> Any:
    torch.manual_seed(1)
    shape = ArchitectureParams.model_validate(SHAPE)
    model = encoder_decoder.build(shape, head=head, vocabulary_size=40, pad_token_id=0, eos_token_id=3)
    assert isinstance(model, MarianMTModel)
    return model


def test_its_shape_is_the_one_of_the_parameters() -> None:
    model = build()
    config = model.config
    assert (len(model.model.encoder.layers), len(model.model.decoder.layers)) == (3, 1)
    assert (config.d_model, config.encoder_ffn_dim, config.decoder_ffn_dim) == (16, 24, 24)
    assert (config.dropout, config.attention_dropout, config.activation_dropout) == (0.25, 0.0, 0.0)
    assert (config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (0, 3, 0)
    assert model.lm_head.weight is model.model.shared.weight is model.model.decoder.embed_tokens.weight
    assert longest_row(config.to_dict()) == 20


def test_embeddings_are_as_large_as_positions() -> None:
    model = build()
    scaled = model.model.encoder.embed_scale * model.get_input_embeddings().weight[1:]
    assert 0.8 < scaled.std().item() < 1.2
    positions = model.model.encoder.embed_positions.weight
    torch.testing.assert_close(positions[3, 0], torch.tensor(3.0).sin())  # sinusoidal, the first one of wavelength 2π
    assert 0.4 < positions.std().item() < 0.8 and not positions.requires_grad


def test_a_folder_gives_the_model_back_with_another_dropout(tmp_path: Path) -> None:
    model = build().eval()
    model.save_pretrained(tmp_path)
    assert family_of(tmp_path) == "encoder_decoder"
    settings = encoder_decoder.dropout_settings(0.5)
    loaded = encoder_decoder.load(tmp_path, head="summarization", **settings).eval()
    ids = torch.tensor([[2, 7, 8, 3]])
    with torch.no_grad():
        first, second = (one(input_ids=ids, decoder_input_ids=ids).logits for one in (model, loaded))
    torch.testing.assert_close(first, second)
    assert loaded.config.dropout == 0.5


@pytest.mark.parametrize("model_type", ["bart", "t5"])
def test_weights_may_be_a_barts_or_a_t5s(tmp_path: Path, model_type: str) -> None:
    model: Any
    if model_type == "bart":
        model = BartForConditionalGeneration(BartConfig(**SMALL_BART))
    else:
        model = T5ForConditionalGeneration(
            T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        )
    model.save_pretrained(tmp_path)
    family = ARCHITECTURES[family_of(tmp_path)]()
    loaded = family.load(tmp_path, head="translation", **family.dropout_settings(0.3))
    assert type(loaded) is type(model)
    if model_type == "t5":
        assert {part.p for part in loaded.modules() if isinstance(part, nn.Dropout)} == {0.3}
    else:
        assert (loaded.config.dropout, loaded.config.attention_dropout) == (0.3, 0.0)
        assert longest_row(loaded.config.to_dict()) == 30


def test_a_decoder_needs_layers_and_others_have_none() -> None:
    for change in ({"decoder_layers": None}, {"family": "bert"}):
        with pytest.raises(ValidationError, match="decoder_layers must be"):
            ArchitectureParams.model_validate(SHAPE | change)
