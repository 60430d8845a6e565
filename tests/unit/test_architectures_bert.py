"""BERT from a shape and from a folder."""

from pathlib import Path

import pytest
import torch
from transformers import BertModel

from pipeline.architectures import bert
from pipeline.files import InputError, write_json
from pipeline.params import ArchitectureParams

SHAPE = ArchitectureParams(
    family="bert", layers=1, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.1
)


def _encoder(folder: Path, **options: bool) -> BertModel:
    torch.manual_seed(0)
    config = bert.build(SHAPE, head="masked_lm", vocabulary_size=40, pad_token_id=0).config
    encoder = BertModel(config, **options)
    encoder.save_pretrained(folder)
    return encoder


@pytest.mark.parametrize("head", ["masked_lm", "masked_lm_next_sentence"])
def test_an_encoder_without_a_head_gets_one_and_keeps_its_pooler(tmp_path: Path, head: str) -> None:
    encoder = _encoder(tmp_path / "encoder")
    model = bert.load(tmp_path / "encoder", head=head)
    for name, parameter in encoder.named_parameters():
        assert torch.equal(model.bert.get_parameter(name), parameter)
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    model.save_pretrained(tmp_path / "pretrained")
    again = bert.load(tmp_path / "pretrained", head=head)
    for name, parameter in model.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter)
    classifier = bert.HEADS["text_classification"].from_pretrained(tmp_path / "pretrained")
    assert torch.equal(classifier.bert.pooler.dense.weight, encoder.pooler.dense.weight)


def test_an_encoder_without_a_pooler_gets_none(tmp_path: Path) -> None:
    _encoder(tmp_path, add_pooling_layer=False)
    assert bert.load(tmp_path, head="masked_lm").bert.pooler is None


def test_new_heads_follow_the_seed(tmp_path: Path) -> None:
    _encoder(tmp_path)
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(bert.load(tmp_path, head="masked_lm").cls.predictions.transform.dense.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_another_family_and_a_part_of_an_encoder_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "gpt2"})
    with pytest.raises(InputError, match="model_type is gpt2, expected bert"):
        bert.load(tmp_path, head="masked_lm")
    encoder = _encoder(tmp_path)
    weights = {key: value for key, value in encoder.state_dict().items() if "layer.0.output" not in key}
    encoder.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(InputError, match=r"no fitting weights for bert\.encoder\.layer\.0\.output"):
        bert.load(tmp_path, head="masked_lm")
