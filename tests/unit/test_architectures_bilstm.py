"""The BiLSTM: it computes what torch's LSTM does row by row, whatever is padded, and comes back from a folder."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from pipeline.architectures import bilstm, family_of
from pipeline.params import ArchitectureParams

PAD = 3
SHAPE = ArchitectureParams(
    family="bilstm", layers=2, hidden_size=16, attention_heads=None, intermediate_size=24, max_length=16, dropout=0.1
)
ROWS = [[9, 8, 7, 6, 5], [4], [4, 4, 9]]


def built(head: str) -> bilstm.PreTrainedModel:
    torch.manual_seed(0)
    names = {"id2label": dict(enumerate("abc")), "label2id": {name: index for index, name in enumerate("abc")}}
    return bilstm.build(SHAPE, head=head, vocabulary_size=40, pad_token_id=PAD, **names).eval()


def padded(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.full((len(ROWS), length), PAD)
    for row, own in enumerate(ROWS):
        ids[row, : len(own)] = torch.tensor(own)
    return ids, (torch.arange(length) < torch.tensor([[len(own)] for own in ROWS])).long()


@pytest.mark.parametrize("length", [5, 9])
def test_each_row_is_read_from_both_of_its_own_ends(length: int) -> None:
    """The sum of what is read forwards to its last token and backwards to its first, as Tang et al. 2019 have it."""
    tagger, classifier = built("token_classification"), built("text_classification")
    ids, mask = padded(length)
    tags, labels = tagger(ids, mask).logits, classifier(ids, mask).logits
    assert (tags.shape, labels.shape) == ((3, length, 3), (3, 3))
    for row, own in enumerate(ROWS):
        for model, found in ((tagger, tags[row, : len(own)]), (classifier, labels[row])):
            states, _ = model.bilstm.lstm(model.bilstm.word_embeddings(torch.tensor(own)))
            read = torch.cat([states[-1, :8], states[0, 8:]]) if model is classifier else states
            hidden = torch.relu(read @ model.dense.weight.T + model.dense.bias)
            torch.testing.assert_close(found, hidden @ model.classifier.weight.T + model.classifier.bias)


def test_padding_has_no_gradient_and_words_have_one() -> None:
    model = built("text_classification")
    ids, mask = padded(9)
    model(ids, mask).logits.square().sum().backward()
    moved = model.bilstm.word_embeddings.weight.grad.abs().sum(dim=1).nonzero().flatten().tolist()
    assert moved == sorted({word for own in ROWS for word in own})


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("text_classification", AutoModelForSequenceClassification),
        ("token_classification", AutoModelForTokenClassification),
    ],
)
def test_weights_come_back_from_a_folder_without_pickle(head: str, kind: type, tmp_path: Path) -> None:
    model = built(head)
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    assert family_of(tmp_path) == "bilstm"
    again = kind.from_pretrained(tmp_path)
    assert again.config.dropout == 0.1 and again.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert {*again.state_dict()} == {*model.state_dict()}
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_the_size_published_by_tang_et_al() -> None:
    """300-dimensional embeddings, 150 units a direction, 200 ReLUs: the parameters behind the embeddings, by hand."""
    changes = {"layers": 1, "hidden_size": 300, "intermediate_size": 200}
    shape = ArchitectureParams.model_validate(SHAPE.model_dump() | changes)
    model = bilstm.build(shape, head="text_classification", vocabulary_size=40, pad_token_id=PAD)
    lstm = 2 * 4 * 150 * (300 + 150 + 2)
    assert sum(weight.numel() for weight in model.parameters()) == 40 * 300 + lstm + 301 * 200 + 201 * 2
