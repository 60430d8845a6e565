"""What sets RoBERTa apart from BERT: where positions start, no token types, no pooler."""

from pathlib import Path

import torch
from transformers import RobertaModel

from pipeline.architectures import roberta
from pipeline.params import ArchitectureParams

PAD = 4
SHAPE = ArchitectureParams(
    family="roberta", layers=1, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.0
)


def built(head: str) -> roberta.PreTrainedModel:
    torch.manual_seed(0)
    return roberta.build(SHAPE, head=head, vocabulary_size=40, pad_token_id=PAD)


def test_positions_start_behind_the_padding_token() -> None:
    model = built("masked_lm")
    embeddings = model.roberta.embeddings
    assert embeddings.position_embeddings.weight.shape[0] == 16 + PAD + 1
    ids = torch.tensor([[9, 8, 7]])
    words, places = embeddings.word_embeddings.weight[ids[0]], embeddings.position_embeddings.weight[PAD + 1 : PAD + 4]
    expected = embeddings.LayerNorm(words + places + embeddings.token_type_embeddings.weight[0])
    torch.testing.assert_close(embeddings(input_ids=ids)[0], expected)


def test_padding_moves_no_position() -> None:
    model = built("text_classification").eval()
    for parameter in model.parameters():  # as drawn they are so small that a wrong position would hardly show
        torch.nn.init.normal_(parameter, std=0.4)
    alone = model(input_ids=torch.tensor([[9, 8, 7]]), attention_mask=torch.ones(1, 3)).logits
    padded = torch.tensor([[9, 8, 7, PAD, PAD]])
    torch.testing.assert_close(model(input_ids=padded, attention_mask=(padded != PAD).long()).logits, alone)


def test_there_are_no_token_types_and_no_pooler() -> None:
    for head in roberta.HEADS:
        model = built(head)
        assert model.config.type_vocab_size == 1
        assert not [name for name, _ in model.named_parameters() if "pooler" in name]


def test_a_pooler_that_comes_with_an_encoder_is_left_behind(tmp_path: Path) -> None:
    encoder = RobertaModel(built("masked_lm").config)
    encoder.save_pretrained(tmp_path)
    model = roberta.load(tmp_path, head="masked_lm")
    for name, parameter in model.roberta.named_parameters():
        assert torch.equal(parameter, encoder.get_parameter(name)), name
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
    assert model.roberta.pooler is None
