"""A classifier's logits from its last layer at [CLS] alone, against transformers' own forward pass."""

import pytest
import torch

from pipeline.architectures import bert
from pipeline.architectures.classifier import class_logits
from pipeline.params import ArchitectureParams

IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0], [2, 3, 0, 0, 0]])
MASK = (IDS != 0).long()


def classifier(layers: int, dropout: float = 0.0) -> bert.PreTrainedModel:
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
    model = bert.build(shape, head="text_classification", vocabulary_size=20, pad_token_id=0, num_labels=3)
    for parameter in model.parameters():  # as drawn they are so small that a wrong mask would hardly show
        torch.nn.init.normal_(parameter, std=0.4)
    return model


@pytest.mark.parametrize("layers", [1, 3])
def test_logits_and_gradients_are_those_of_the_whole_forward_pass(layers: int) -> None:
    model = classifier(layers)
    plain = model(input_ids=IDS, attention_mask=MASK).logits
    plain.square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    found = class_logits(model, IDS, MASK)
    found.square().sum().backward()
    torch.testing.assert_close(found, plain)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)


def test_padding_does_not_reach_the_logits() -> None:
    model = classifier(2)
    alone = class_logits(model, IDS[1:2, :3], MASK[1:2, :3])
    torch.testing.assert_close(class_logits(model, IDS, MASK)[1:2], alone)


def test_in_bfloat16_the_logits_are_near() -> None:
    model = classifier(2)
    with torch.autocast("cpu", torch.bfloat16):
        found, plain = class_logits(model, IDS, MASK), model(input_ids=IDS, attention_mask=MASK).logits
    torch.testing.assert_close(found, plain, rtol=0.05, atol=0.05)
    found = class_logits(model.to(torch.bfloat16), IDS, MASK)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, plain, rtol=0.05, atol=0.1)


def test_dropout_acts_in_training_only() -> None:
    model = classifier(2, dropout=0.5)
    model.train()
    assert not torch.equal(class_logits(model, IDS, MASK), class_logits(model, IDS, MASK))
    model.eval()
    assert torch.equal(class_logits(model, IDS, MASK), class_logits(model, IDS, MASK))
