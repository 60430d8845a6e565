"""What all families have in common: heads, dropout, the shape that was asked for, weights that come back."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn
from transformers import AutoConfig

from pipeline.architectures import (
    ARCHITECTURES,
    MODEL_TYPES,
    bert,
    bilstm,
    encoder_decoder,
    family_of,
    gpt,
    llama,
    modernbert,
    roberta,
)
from pipeline.architectures.limits import longest_row
from pipeline.files import InputError, write_json
from pipeline.params import ArchitectureParams
from pipeline.params.families import OBJECTIVES, TOKENIZERS
from pipeline.params.task_types import TASK_TYPES

TASKS = {family: [name for name, kind in TASK_TYPES.items() if family in kind.families] for family in ARCHITECTURES}
# an encoder-decoder, of two stacks, and a BiLSTM, which is no language model, have tests of their own
MODULES = {"bert": bert, "roberta": roberta, "modernbert": modernbert, "gpt": gpt, "llama": llama}
ROTARY = ("modernbert", "llama")  # their positions are computed, so that no row is too long for them
PAD = 3


def shape(family: str, **changes: float) -> ArchitectureParams:
    sizes = {"layers": 2, "hidden_size": 16, "attention_heads": 2, "intermediate_size": 24, "max_length": 16}
    dropout = 0.0 if family == "llama" else 0.1
    return ArchitectureParams.model_validate({"family": family, "dropout": dropout} | sizes | changes)


def built(family: str, head: str) -> nn.Module:
    torch.manual_seed(0)
    return MODULES[family].build(shape(family), head=head, vocabulary_size=40, pad_token_id=PAD)


def test_every_family_of_params_has_a_module_with_its_heads() -> None:
    names = get_args(ArchitectureParams.model_fields["family"].annotation)
    assert set(names) == set(ARCHITECTURES) == set(OBJECTIVES) == set(TASKS) == set(TOKENIZERS)
    for family, module in {**MODULES, "encoder_decoder": encoder_decoder, "bilstm": bilstm}.items():
        assert ARCHITECTURES[family]() is module
        assert set(module.HEADS) == {*OBJECTIVES[family], *TASKS[family]}


@pytest.mark.parametrize("family", MODULES)
def test_every_head_has_the_shape_that_was_asked_for(family: str) -> None:
    for head, kind in MODULES[family].HEADS.items():
        model = built(family, head)
        assert type(model) is kind
        config = model.config
        assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 16, 2)
        assert (config.vocab_size, config.pad_token_id, longest_row(config.to_dict())) == (40, PAD, 16)
        widths = {
            layer.weight.shape for layer in model.modules() if hasattr(layer, "weight") and layer.weight.ndim == 2
        }
        assert widths & {(24, 16), (16, 24)}
        # the longest row fits and one token more does not
        model(**row_of(16, apart=head == "sentence_similarity"))
        if family in ROTARY:
            continue
        with pytest.raises((IndexError, RuntimeError)):
            model(**row_of(17, apart=head == "sentence_similarity"))


def row_of(length: int, *, apart: bool) -> dict[str, torch.Tensor]:
    """Return a row of that length, or of two texts of that length where each is read apart."""
    size = 2 * length if apart else length
    types = {"token_type_ids": torch.arange(size)[None] // length} if apart else {}
    return {"input_ids": torch.full((1, size), 7), "attention_mask": torch.ones(1, size, dtype=torch.int64), **types}


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt"])
def test_hidden_states_and_embeddings_have_dropout_and_attention_has_none(family: str) -> None:
    for head in TASKS[family]:
        torch.manual_seed(0)
        settings = MODULES[family].dropout_settings(0.3)
        model = MODULES[family].build(shape(family), head=head, vocabulary_size=40, pad_token_id=PAD)
        again = type(model)(AutoConfig.for_model(**(model.config.to_dict() | settings)))
        found = {name: part.p for name, part in again.named_modules() if isinstance(part, nn.Dropout)}
        maps = {name for name in found if name.endswith(("attention.self.dropout", "attn_dropout"))}
        assert len(maps) == 2
        assert all(share == (0.0 if name in maps else 0.3) for name, share in found.items()), found


def test_a_modernbert_has_dropout_of_embeddings_feed_forward_layers_and_head() -> None:
    model = built("modernbert", "text_classification")
    found = {name: part.p for name, part in model.named_modules() if isinstance(part, nn.Dropout)}
    assert found == {"model.embeddings.drop": 0.1, "drop": 0.1} | {f"model.layers.{i}.mlp.drop": 0.1 for i in (0, 1)}
    assert model.config.attention_dropout == 0.0


def test_a_llama_with_dropout_is_refused() -> None:
    with pytest.raises(InputError, match=r"dropout: must be 0\.0 for a llama, which has none, got 0\.1"):
        llama.build(shape("llama", dropout=0.1), head="causal_lm", vocabulary_size=40, pad_token_id=PAD)


@pytest.mark.parametrize("family", MODULES)
def test_weights_come_back_from_a_folder_and_for_a_classifier(family: str, tmp_path: Path) -> None:
    for head in OBJECTIVES[family]:
        model = built(family, head)
        model.save_pretrained(tmp_path / head)
        assert family_of(tmp_path / head) == family
        torch.manual_seed(9)
        again = MODULES[family].load(tmp_path / head, head=head)
        for name, parameter in model.named_parameters():
            assert torch.equal(again.get_parameter(name), parameter), name
        classifier = MODULES[family].HEADS["text_classification"].from_pretrained(tmp_path / head)
        for name, parameter in model.base_model.named_parameters():
            assert torch.equal(classifier.base_model.get_parameter(name), parameter), name


@pytest.mark.parametrize("family", MODULES)
def test_another_family_and_a_part_of_an_encoder_are_refused(family: str, tmp_path: Path) -> None:
    (head, *_), (other, *_) = OBJECTIVES[family], [name for name in MODULES if name != family]
    model = built(family, head)
    model.save_pretrained(tmp_path, state_dict={k: v for k, v in model.state_dict().items() if "1." not in k})
    with pytest.raises(InputError, match=r"no fitting weights for .*1\..*, expected those of a whole encoder"):
        MODULES[family].load(tmp_path, head=head)
    (head, *_), kinds = OBJECTIVES[other], {name: kind for kind, name in MODEL_TYPES.items()}
    with pytest.raises(InputError, match=f"model_type is {kinds[family]}, expected {kinds[other]}$"):
        MODULES[other].load(tmp_path, head=head)


@pytest.mark.parametrize("config", [{"model_type": "mpnet"}, {"model_type": ["bert"]}, {}, ["bert"]])
def test_an_unknown_family_is_named(tmp_path: Path, config: object) -> None:
    write_json(tmp_path / "config.json", config)
    with pytest.raises(
        InputError, match=r"config\.json: model_type is .*, expected one of bert, roberta, modernbert, .*$"
    ):
        family_of(tmp_path)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"max_position_embeddings": 48}, 48),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": None}, None),
        ({"model_type": "bert", "max_position_embeddings": "many"}, None),
        ({}, None),
    ],
)
def test_the_longest_row_is_what_the_positions_leave(config: dict[str, object], expected: int | None) -> None:
    assert longest_row(config) == expected
