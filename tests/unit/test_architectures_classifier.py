"""Logits at the tokens that carry a label, against transformers' own forward pass."""

import pytest
import torch

from pipeline.architectures import bert, gpt
from pipeline.architectures.averaged import averaged
from pipeline.architectures.classifier import at_targets, logits_of, target_logits
from pipeline.params import ArchitectureParams

IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0], [2, 3, 0, 0, 0]])
MASK = (IDS != 0).long()
INPUTS = {"input_ids": IDS, "attention_mask": MASK}
FIRST = torch.tensor([0, 5, 10])


def classifier(layers: int, dropout: float = 0.0, head: str = "text_classification") -> bert.PreTrainedModel:
    shape = ArchitectureParams(
        family="bert",
        layers=layers,
        hidden_size=16,
        attention_heads=2,
        intermediate_size=32,
        max_length=16,
        dropout=dropout,
    )
    torch.manual_seed(3)
    model = bert.build(
        shape, head=head, vocabulary_size=20, pad_token_id=0, num_labels=2 if head == "question_answering" else 3
    )
    for parameter in model.parameters():  # as drawn they are so small that a wrong mask would hardly show
        torch.nn.init.normal_(parameter, std=0.4)
    return model


@pytest.mark.parametrize("layers", [1, 3])
def test_logits_and_gradients_are_those_of_the_whole_forward_pass(layers: int) -> None:
    model = classifier(layers)
    plain = model(**INPUTS).logits
    plain.square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    found = target_logits(model, INPUTS, FIRST)
    found.square().sum().backward()
    torch.testing.assert_close(found, plain)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)


@pytest.mark.parametrize("head", ["text_classification", "token_classification", "question_answering"])
def test_of_several_models_the_logits_are_the_mean(head: str) -> None:
    models = [classifier(2, head=head).eval() for _ in range(3)]
    for parameter in models[2].parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    places = torch.tensor([0, 5, 10])
    expected = sum(target_logits(model, INPUTS, places) for model in models) / 3
    together = averaged(models)
    torch.testing.assert_close(target_logits(together, INPUTS, places), expected)
    torch.testing.assert_close(at_targets(logits_of(together(**INPUTS)), places), expected)
    assert averaged(models[:1]) is models[0]


def test_padding_does_not_reach_the_logits() -> None:
    model = classifier(2)
    alone = target_logits(model, {"input_ids": IDS[1:2, :3], "attention_mask": MASK[1:2, :3]}, FIRST[:1])
    torch.testing.assert_close(target_logits(model, INPUTS, FIRST)[1:2], alone)


def test_in_bfloat16_the_logits_are_near() -> None:
    model = classifier(2)
    with torch.autocast("cpu", torch.bfloat16):
        found, plain = target_logits(model, INPUTS, FIRST), model(**INPUTS).logits
    torch.testing.assert_close(found, plain, rtol=0.05, atol=0.05)
    found = target_logits(model.to(torch.bfloat16), INPUTS, FIRST)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, plain, rtol=0.05, atol=0.1)


def test_dropout_acts_in_training_only() -> None:
    model = classifier(2, dropout=0.5)
    model.train()
    assert not torch.equal(target_logits(model, INPUTS, FIRST), target_logits(model, INPUTS, FIRST))
    model.eval()
    assert torch.equal(target_logits(model, INPUTS, FIRST), target_logits(model, INPUTS, FIRST))


def test_a_token_has_the_logits_that_the_whole_forward_pass_gives_it() -> None:
    model, positions = classifier(2, head="token_classification"), torch.tensor([1, 3, 6, 10])
    plain = model(**INPUTS).logits
    found = target_logits(model, INPUTS, positions)
    torch.testing.assert_close(found, torch.stack([plain[0, 1], plain[0, 3], plain[1, 1], plain[2, 0]]))


@pytest.mark.parametrize("head", ["text_classification", "token_classification"])
def test_the_second_of_two_texts_is_told_apart_where_the_family_can(head: str) -> None:
    model, types = classifier(2, head=head), torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, 0, 0], [0, 1, 0, 0, 0]])
    pairs = INPUTS | {"token_type_ids": types}
    plain = model(**pairs).logits
    expected = plain if head == "text_classification" else plain[:, 0]
    torch.testing.assert_close(target_logits(model, pairs, FIRST), expected)
    assert not torch.allclose(target_logits(model, INPUTS, FIRST), expected)


def test_a_family_without_token_types_is_not_given_any() -> None:
    shape = ArchitectureParams(
        family="gpt", layers=1, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.0
    )
    model = gpt.build(shape, head="text_classification", vocabulary_size=20, pad_token_id=0, num_labels=3).eval()
    pairs = INPUTS | {"token_type_ids": torch.ones_like(IDS)}
    assert torch.equal(target_logits(model, pairs, FIRST), target_logits(model, INPUTS, FIRST))
