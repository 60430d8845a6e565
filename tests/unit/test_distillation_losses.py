"""The distillation losses: hand-computed values, gradients by finite differences, padding that counts for nothing."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.distillation.losses import (
    attention_loss,
    divergence,
    hidden_state_loss,
    likeliest_label_loss,
    likeliest_labels,
    logit_mse,
    soft_label_loss,
)
from pipeline.tasks.labelling import Distributions
from pipeline.tasks.text_classification import TextClassification


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return TextClassification([]).label_loss(Distributions(logits, labels, torch.arange(len(labels))))


def test_soft_label_loss_is_the_hand_computed_value() -> None:
    # teacher (ln 3, 0) is (3/4, 1/4); student (0, 0) is (1/2, 1/2)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    found = soft_label_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]]), temperature=1.0)
    assert found.tolist() == pytest.approx([divergence], rel=1e-6)


def test_soft_label_loss_divides_by_the_temperature_and_multiplies_by_its_square() -> None:
    # at T = 2 the teacher's 2 ln 3 is ln 3 again, and the divergence counts four times
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    found = soft_label_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]]), temperature=2.0)
    assert found.tolist() == pytest.approx([4 * divergence], rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_label_loss_is_zero_for_equal_logits(temperature) -> None:
    logits = torch.tensor([[1.5, -2.0, 0.25], [100.0, -100.0, 3.0]])
    assert soft_label_loss(logits, logits, temperature).tolist() == [0.0, 0.0]
    shifted = soft_label_loss(logits, logits + 5.0, temperature)  # a softmax does not see a shift
    assert shifted.tolist() == pytest.approx([0.0, 0.0], abs=1e-4)


def test_of_lumped_classes_the_divergence_is_the_hand_computed_value() -> None:
    # teacher (1/2, 1/4, 1/8, 1/8), student uniform: with two kept the rest is 1/4 against 1/2
    teacher, student = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), torch.zeros(1, 4)
    kept, likeliest = likeliest_labels(teacher, 2, temperature=1.0)
    assert likeliest.tolist() == [[0, 1]]
    assert kept.exp().tolist() == [pytest.approx([0.5, 0.25, 0.25])]
    expected = 0.5 * math.log(2) + 0.25 * math.log(1) + 0.25 * math.log(0.5)
    assert likeliest_label_loss(student, kept, likeliest, 1.0).tolist() == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_lumping_no_class_is_hintons_loss_and_lumping_some_loses_what_the_chain_rule_says(temperature: float) -> None:
    torch.manual_seed(0)
    student, teacher = 3 * torch.randn(5, 9), 3 * torch.randn(5, 9)
    whole = soft_label_loss(student, teacher, temperature)
    lumped = {k: likeliest_label_loss(student, *likeliest_labels(teacher, k, temperature), temperature) for k in (9, 3)}
    torch.testing.assert_close(lumped[9], whole, rtol=1e-5, atol=1e-6)
    assert (lumped[3] >= 0).all() and (lumped[3] <= whole + 1e-6).all()
    kept, likeliest = likeliest_labels(teacher, 3, temperature)
    among_rest = soft_label_loss(
        student.scatter(-1, likeliest, -1e9), teacher.scatter(-1, likeliest, -1e9), temperature
    )
    torch.testing.assert_close(lumped[3] + kept[:, -1].exp() * among_rest, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_gradient_of_the_lumped_divergence_is_the_finite_difference_and_zero_at_the_teacher(k: int) -> None:
    torch.manual_seed(1)
    student, teacher = torch.randn(2, 6, requires_grad=True), torch.randn(2, 6)
    labels = likeliest_labels(teacher, k, 2.0)
    likeliest_label_loss(student, *labels, 2.0).sum().backward()
    assert student.grad is not None
    step = 1e-2
    for row, column in ((0, 0), (1, 4)):
        moved = [student.detach().clone() for _ in range(2)]
        moved[0][row, column] += step
        moved[1][row, column] -= step
        up, down = (float(likeliest_label_loss(logits, *labels, 2.0).sum()) for logits in moved)
        assert (up - down) / (2 * step) == pytest.approx(float(student.grad[row, column]), abs=1e-3)
    equal = teacher.clone().requires_grad_()
    loss = likeliest_label_loss(equal, *labels, 2.0)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert equal.grad is not None and float(equal.grad.abs().max()) < 1e-5


def test_logit_mse_is_the_hand_computed_value() -> None:
    found = logit_mse(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 1.0], [0.0, 0.0]]))
    assert found.tolist() == [2.5, 0.0]  # ((1 - 3)² + (2 - 1)²) / 2


def test_hard_label_loss_is_cross_entropy_and_zero_without_a_label() -> None:
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0], [9.0, -9.0]])
    found = label_loss(logits, torch.tensor([0, 1, -1]))
    assert found.tolist() == pytest.approx([-math.log(0.75), -math.log(0.25), 0.0])


def test_divergence_is_a_kl_of_choices_and_a_square_of_numbers() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    assert torch.equal(divergence(student, teacher), soft_label_loss(student, teacher, temperature=1.0))
    assert divergence(torch.tensor([[0.5]]), torch.tensor([[0.2]])).tolist() == pytest.approx([0.09])


def test_hidden_state_loss_is_the_hand_computed_value() -> None:
    # one row of two tokens, student width 1, teacher width 2, W_h = (1, 2)
    student, teacher = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[0.0, 0.0], [2.0, 5.0]]])
    found = hidden_state_loss(student, teacher, torch.tensor([[1.0, 2.0]]), torch.tensor([[1, 1]]))
    assert found.tolist() == [1.5]  # tokens: (1² + 2²) / 2 and (0² + 1²) / 2, their mean


def test_attention_loss_is_the_hand_computed_value() -> None:
    # one row of one token, two heads: differences 1 and 3
    student, teacher = torch.tensor([[[[1.0]], [[4.0]]]]), torch.tensor([[[[0.0]], [[1.0]]]])
    assert attention_loss(student, teacher, torch.tensor([[1]])).tolist() == [5.0]  # (1 + 9) / 2


def test_padding_contributes_exactly_zero() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 0, 0]])
    hidden, scores = torch.randn(1, 4, 3), torch.randn(1, 2, 4, 4)
    wild_hidden, wild_scores = hidden.clone(), scores.clone()
    wild_hidden[:, 2:] = math.inf
    wild_scores[:, :, 2:], wild_scores[:, :, :, 2:] = math.inf, math.nan
    teacher_hidden, teacher_scores, projection = torch.randn(1, 4, 5), torch.randn(1, 2, 4, 4), torch.randn(3, 5)
    short = slice(0, 2)
    alone = hidden_state_loss(hidden[:, short], teacher_hidden[:, short], projection, mask[:, short])
    assert torch.equal(hidden_state_loss(wild_hidden, teacher_hidden, projection, mask), alone)
    alone = attention_loss(scores[:, :, short, short], teacher_scores[:, :, short, short], mask[:, short])
    assert torch.equal(attention_loss(wild_scores, teacher_scores, mask), alone)


def _losses(rows: slice, inputs: dict[str, Tensor], weights: dict[str, Tensor]) -> Tensor:
    """Sum every loss over `rows` of a small student whose logits, states and scores are linear in `weights`."""
    x, mask = inputs["x"][rows], inputs["mask"][rows]
    states = x @ weights["states"]
    scores = torch.einsum("bih,bjh->bhij", states, states)
    logits = states.mean(dim=1) @ weights["logits"]
    total = soft_label_loss(logits, inputs["logits"][rows], 2.0) + logit_mse(logits, inputs["logits"][rows])
    total = total + label_loss(logits, inputs["labels"][rows])
    total = total + hidden_state_loss(states, inputs["states"][rows], weights["projection"], mask)
    return (total + attention_loss(scores, inputs["scores"][rows], mask)).sum()


def _example() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    inputs = {
        "x": normal(6, 4, 3), "logits": normal(6, 2), "states": normal(6, 4, 5), "scores": normal(6, 2, 4, 4),
        "labels": torch.tensor([0, 1, -1, 1, -1, 0]),
        "mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]]),
    }  # fmt: skip
    weights = {"states": normal(3, 2), "logits": normal(2, 2), "projection": normal(2, 5)}
    return inputs, {name: weight.requires_grad_() for name, weight in weights.items()}


def test_one_batch_equals_micro_batches_in_gradient() -> None:
    inputs, weights = _example()
    whole = torch.autograd.grad(_losses(slice(0, 6), inputs, weights), list(weights.values()))
    parts = [
        torch.autograd.grad(_losses(rows, inputs, weights), list(weights.values()))
        for rows in (slice(0, 1), slice(1, 3), slice(3, 6))
    ]
    for gradient, *pieces in zip(whole, *parts, strict=True):
        torch.testing.assert_close(torch.stack(pieces).sum(dim=0), gradient)


def test_gradients_are_those_of_finite_differences() -> None:
    inputs, weights = _example()
    gradients = torch.autograd.grad(_losses(slice(0, 6), inputs, weights), list(weights.values()))
    step = 1e-2
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        values = []
        for sign in (1, -1):
            moved = weight.detach().clone()
            moved[0, 1] += sign * step
            values.append(_losses(slice(0, 6), inputs, {**weights, name: moved}).item())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(gradient[0, 1].item(), rel=2e-2, abs=2e-2)
