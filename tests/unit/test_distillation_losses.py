"""The losses of answers: hand-computed values, gradients by finite differences, what lumping classes leaves out."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from pipeline.distillation.losses import (
    divergence,
    jensen_shannon_loss,
    likeliest_labels,
    logit_mse,
    reverse_kl_loss,
    soft_label_loss,
)
from pipeline.tasks.labelling_loss import Distributions
from pipeline.tasks.question_answering import PADDING
from pipeline.tasks.text_classification import TextClassification

Loss = Callable[..., Tensor]


def jensen_shannon(student: Tensor, teacher: Tensor, temperature: float, likeliest: Tensor | None = None) -> Tensor:
    return jensen_shannon_loss(student, teacher, temperature, 0.3, likeliest)


DIVERGENCES = pytest.mark.parametrize("loss", [soft_label_loss, reverse_kl_loss, jensen_shannon])
# teacher (ln 3, 0) is (3/4, 1/4); student (0, 0) is (1/2, 1/2)
TEACHER, STUDENT = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, 0.0]])
FORWARD = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
REVERSE = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)


def kl(first: list[float], second: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(first, second, strict=True))


def mixed(share: float) -> float:
    mixture = [share * 0.75 + (1 - share) * 0.5, share * 0.25 + (1 - share) * 0.5]
    return share * kl([0.75, 0.25], mixture) + (1 - share) * kl([0.5, 0.5], mixture)


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return TextClassification([]).label_loss(Distributions(logits, labels, torch.arange(len(labels))))


@pytest.mark.parametrize(
    ("loss", "expected"), [(soft_label_loss, FORWARD), (reverse_kl_loss, REVERSE), (jensen_shannon, mixed(0.3))]
)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergences_are_the_hand_computed_values(loss: Loss, expected: float, temperature: float) -> None:
    # at T = 2 the teacher's 2 ln 3 is ln 3 again, and the divergence counts four times
    found = loss(STUDENT, temperature * TEACHER, temperature)
    assert found.tolist() == pytest.approx([temperature**2 * expected], rel=1e-5)


def test_half_and_half_the_jensen_shannon_divergence_is_scipys() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 6), torch.randn(4, 6)
    expected = jensenshannon(teacher.softmax(dim=-1), student.softmax(dim=-1), axis=1) ** 2
    found = jensen_shannon_loss(student, teacher, 1.0, 0.5)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    swapped = jensen_shannon_loss(teacher, student, 1.0, 0.5)
    torch.testing.assert_close(swapped, found)


def test_the_jensen_shannon_divergence_tends_to_either_kl_and_has_a_bound() -> None:
    share = 1e-3
    assert float(jensen_shannon_loss(STUDENT, TEACHER, 1.0, share)) / share == pytest.approx(FORWARD, rel=1e-2)
    assert float(jensen_shannon_loss(STUDENT, TEACHER, 1.0, 1 - share)) / share == pytest.approx(REVERSE, rel=1e-2)
    apart = jensen_shannon_loss(torch.tensor([[90.0, -90.0]]), torch.tensor([[-90.0, 90.0]]), 1.0, 0.3)
    assert float(apart) == pytest.approx(-0.3 * math.log(0.3) - 0.7 * math.log(0.7), rel=1e-5)


@DIVERGENCES
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_divergences_are_zero_for_equal_logits(loss: Loss, temperature: float) -> None:
    logits = torch.tensor([[1.5, -2.0, 0.25], [100.0, -100.0, 3.0]], requires_grad=True)
    found = loss(logits, logits.detach(), temperature)
    found.sum().backward()
    assert found.tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    assert logits.grad is not None and float(logits.grad.abs().max()) < 1e-5
    shifted = loss(logits, logits.detach() + 5.0, temperature)  # a softmax does not see a shift
    assert shifted.tolist() == pytest.approx([0.0, 0.0], abs=1e-4)


@DIVERGENCES
def test_choices_that_are_none_add_exactly_nothing(loss: Loss) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3), torch.randn(2, 3)
    padding = torch.full((2, 2), PADDING)
    padded = torch.cat([student, padding], dim=1).requires_grad_()
    found = loss(padded, torch.cat([teacher, padding], dim=1), 2.0)
    torch.testing.assert_close(found, loss(student, teacher, 2.0), rtol=1e-6, atol=0.0)
    found.sum().backward()
    assert padded.grad is not None and padded.grad[:, 3:].tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (soft_label_loss, kl([0.5, 0.25, 0.25], [0.25, 0.25, 0.5])),
        (reverse_kl_loss, kl([0.25, 0.25, 0.5], [0.5, 0.25, 0.25])),
        (
            jensen_shannon,
            0.3 * kl([0.5, 0.25, 0.25], [0.325, 0.25, 0.425]) + 0.7 * kl([0.25, 0.25, 0.5], [0.325, 0.25, 0.425]),
        ),
    ],
)
def test_of_lumped_classes_the_divergences_are_the_hand_computed_values(loss: Loss, expected: float) -> None:
    # teacher (1/2, 1/4, 1/8, 1/8), student uniform: with two kept the rest is 1/4 against 1/2
    teacher, student = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), torch.zeros(1, 4)
    kept, likeliest = likeliest_labels(teacher, 2, temperature=1.0)
    assert likeliest.tolist() == [[0, 1]]
    assert kept.exp().tolist() == [pytest.approx([0.5, 0.25, 0.25])]
    assert loss(student, kept, 1.0, likeliest).tolist() == pytest.approx([expected], abs=1e-6)


def at(temperature: float, *probabilities: float) -> Tensor:
    """Return the logits of one target whose probabilities at that temperature are these."""
    return temperature * torch.tensor([probabilities]).clamp_min(1e-30).log()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(
    ("loss", "missing"),
    [
        (soft_label_loss, 1 / 4 * (1 / 2 * np.log(3 / 2) + 1 / 2 * np.log(3 / 4))),
        (reverse_kl_loss, 3 / 4 * (1 / 3 * np.log(2 / 3) + 2 / 3 * np.log(4 / 3))),
        # M = 0.3 / 4 + 0.7 · 3 / 4 = 0.6, of which the teacher has 1/8: the mixture within is (17, 31) / 48
        (jensen_shannon, 0.6 / 8 * (1 / 2 * np.log(24 / 17) + 1 / 2 * np.log(24 / 31))
                         + 0.6 * 7 / 8 * (1 / 3 * np.log(16 / 17) + 2 / 3 * np.log(32 / 31))),
    ],
)  # fmt: skip
def test_what_lumping_leaves_out_is_the_hand_computed_value(loss: Loss, missing: float, temperature: float) -> None:
    # the teacher gives the last two Q = 1/4, half and half; the student P = 3/4, a third of it and two
    teacher, student = at(temperature, 1 / 2, 1 / 4, 1 / 8, 1 / 8), at(temperature, 1 / 8, 1 / 8, 1 / 4, 1 / 2)
    kept, likeliest = likeliest_labels(teacher, 2, temperature)
    whole, lumped = loss(student, teacher, temperature), loss(student, kept, temperature, likeliest)
    assert (whole - lumped).tolist() == pytest.approx([temperature**2 * missing], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_bound_of_what_lumping_leaves_out_is_reached_where_the_rest_has_nothing_in_common(
    temperature: float,
) -> None:
    # both give the first class 3/5; of the rest, M = 2/5, the one has one class and the other the other
    teacher, student = at(temperature, 3 / 5, 2 / 5, 0), at(temperature, 3 / 5, 0, 2 / 5)
    kept, likeliest = likeliest_labels(teacher, 1, temperature)
    whole = jensen_shannon_loss(student, teacher, temperature, 0.5)
    lumped = jensen_shannon_loss(student, kept, temperature, 0.5, likeliest)
    assert whole.tolist() == pytest.approx([temperature**2 * 2 / 5 * math.log(2)], rel=1e-5)
    assert lumped.tolist() == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_lumping_no_class_changes_nothing_and_lumping_some_loses_what_the_chain_rule_says(temperature: float) -> None:
    torch.manual_seed(0)
    student, teacher, share = 3 * torch.randn(5, 9), 3 * torch.randn(5, 9), 0.3
    kept, likeliest = likeliest_labels(teacher, 3, temperature)
    everything, all_classes = likeliest_labels(teacher, 9, temperature)
    its_rest = kept[:, -1].exp()
    own_rest = (student / temperature).softmax(dim=-1).scatter(-1, likeliest, 0.0).sum(dim=-1)
    mixed_rest = share * its_rest + (1 - share) * own_rest
    rest = [logits.scatter(-1, likeliest, -1e9) for logits in (student, teacher)]
    among = torch.stack(  # the share of the teacher within the rest is another one for each target
        [
            jensen_shannon_loss(one[None], other[None], temperature, float(within))[0]
            for one, other, within in zip(*rest, share * its_rest / mixed_rest, strict=True)
        ]
    )
    missing = {
        soft_label_loss: its_rest * soft_label_loss(*rest, temperature),
        reverse_kl_loss: own_rest * reverse_kl_loss(*rest, temperature),
        jensen_shannon: mixed_rest * among,
    }
    for loss, expected in missing.items():
        whole, lumped = loss(student, teacher, temperature), loss(student, kept, temperature, likeliest)
        torch.testing.assert_close(loss(student, everything, temperature, all_classes), whole, rtol=1e-4, atol=1e-5)
        assert (lumped >= 0).all() and (lumped <= whole + 1e-6).all()
        torch.testing.assert_close(lumped + expected, whole, rtol=1e-4, atol=1e-4)
    assert (missing[jensen_shannon] <= temperature**2 * mixed_rest * math.log(2) + 1e-6).all()


# in float32, as the losses compute: a step of a hundredth, of which a third-order remainder is left
close = {"eps": 1e-2, "atol": 2e-3, "rtol": 2e-2}


@DIVERGENCES
@pytest.mark.filterwarnings("ignore:Input #0 requires gradient:UserWarning")
@pytest.mark.parametrize("k", [None, 1, 3, 6])
def test_gradients_of_divergences_are_those_of_finite_differences(loss: Loss, k: int | None) -> None:
    torch.manual_seed(1)
    student, teacher = torch.randn(2, 6, requires_grad=True), torch.randn(2, 6)
    kept, likeliest = (teacher, None) if k is None else likeliest_labels(teacher, k, 2.0)
    assert torch.autograd.gradcheck(lambda logits: loss(logits, kept, 2.0, likeliest), student, **close)
    equal = teacher.clone().requires_grad_()
    found = loss(equal, kept, 2.0, likeliest)
    found.sum().backward()
    assert found.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert equal.grad is not None and float(equal.grad.abs().max()) < 1e-5


@pytest.mark.filterwarnings("ignore:Input #0 requires gradient:UserWarning")
def test_gradients_of_logits_and_labels_are_those_of_finite_differences() -> None:
    torch.manual_seed(1)
    student, teacher, labels = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4), torch.tensor([1, -1, 3])
    assert torch.autograd.gradcheck(lambda logits: logit_mse(logits, teacher), student, **close)
    assert torch.autograd.gradcheck(lambda logits: label_loss(logits, labels), student, **close)


def test_logit_mse_is_the_hand_computed_value() -> None:
    found = logit_mse(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 1.0], [0.0, 0.0]]))
    assert found.tolist() == [2.5, 0.0]  # ((1 - 3)² + (2 - 1)²) / 2


def test_hard_label_loss_is_cross_entropy_and_zero_without_a_label() -> None:
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0], [9.0, -9.0]])
    found = label_loss(logits, torch.tensor([0, 1, -1]))
    assert found.tolist() == pytest.approx([-math.log(0.75), -math.log(0.25), 0.0])


def test_divergence_is_a_kl_of_choices_and_a_square_of_numbers() -> None:
    assert torch.equal(divergence(STUDENT, TEACHER), soft_label_loss(STUDENT, TEACHER, temperature=1.0))
    assert divergence(torch.tensor([[0.5]]), torch.tensor([[0.2]])).tolist() == pytest.approx([0.09])


@DIVERGENCES
def test_one_batch_equals_many_small_ones_in_gradient(loss: Loss) -> None:
    torch.manual_seed(3)
    weights, inputs, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(6, 3), torch.randn(6, 4)

    def gradient(rows: slice) -> Tensor:
        return torch.autograd.grad(loss(inputs[rows] @ weights, teacher[rows], 2.0).sum(), weights)[0]

    parts = [gradient(rows) for rows in (slice(0, 1), slice(1, 3), slice(3, 6))]
    torch.testing.assert_close(torch.stack(parts).sum(dim=0), gradient(slice(0, 6)))
