"""The losses of layers: hand-computed values, gradients by finite differences, padding that counts for nothing."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.distillation.layer_losses import (
    attention_loss,
    hidden_cosine_loss,
    hidden_state_loss,
    relation_loss,
    scaled_products,
)

PROJECTION = torch.tensor([[0.5, -1.0, 0.25, 2.0], [1.0, 0.0, -0.5, 0.75]])


def through_projection(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return hidden_state_loss(student, teacher, PROJECTION, mask)


def cosines(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return hidden_cosine_loss(student @ PROJECTION, teacher, mask)


def attentions(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return attention_loss(scaled_products(student, student, 2), scaled_products(teacher, teacher, 2), mask)


def relations(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return relation_loss(scaled_products(student, student, 2), scaled_products(teacher, teacher, 2), mask)


# each of a student's states, (rows, length, 2), a teacher's, (rows, length, 4), and the mask
LOSSES = [through_projection, cosines, attentions, relations]
every_loss = pytest.mark.parametrize("loss", LOSSES)
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]])


def states() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(6, 4, 2, generator=generator), torch.randn(6, 4, 4, generator=generator)


def test_hidden_state_loss_is_the_hand_computed_value() -> None:
    # one row of two tokens, student width 1, teacher width 2, W_h = (1, 2)
    student, teacher = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[0.0, 0.0], [2.0, 5.0]]])
    found = hidden_state_loss(student, teacher, torch.tensor([[1.0, 2.0]]), torch.tensor([[1, 1]]))
    assert found.tolist() == [1.5]  # tokens: (1² + 2²) / 2 and (0² + 1²) / 2, their mean


def test_hidden_cosine_loss_is_the_hand_computed_value() -> None:
    # cosines: a right angle 0, (3, 4) against (4, 3) 24 / 25, one direction 1
    student = torch.tensor([[[1.0, 0.0], [3.0, 4.0]], [[1.0, 2.0], [9.0, 9.0]]])
    teacher = torch.tensor([[[0.0, 2.0], [4.0, 3.0]], [[2.0, 4.0], [-9.0, 9.0]]])
    found = hidden_cosine_loss(student, teacher, torch.tensor([[1, 1], [1, 0]]))
    assert found.tolist() == pytest.approx([(1 + 1 / 25) / 2, 0.0], abs=1e-6)


def test_attention_loss_is_the_hand_computed_value() -> None:
    # one row of one token, two heads: differences 1 and 3
    student, teacher = torch.tensor([[[[1.0]], [[4.0]]]]), torch.tensor([[[[0.0]], [[1.0]]]])
    assert attention_loss(student, teacher, torch.tensor([[1]])).tolist() == [5.0]  # (1 + 9) / 2


def test_scaled_products_are_the_hand_computed_values() -> None:
    # one token against itself and another, two heads of width 1, then one of width 2
    first, second = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 5.0]]])
    assert scaled_products(first, second, 2).tolist() == [[[[3.0]], [[10.0]]]]
    assert scaled_products(first, second, 1).tolist() == [[[[pytest.approx(13 / math.sqrt(2))]]]]


def test_relation_loss_is_the_hand_computed_value() -> None:
    # two heads; of the first the teacher's first token divides itself 3/4 and 1/4, all others are even
    teacher, student = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    teacher[0, 0, 0, 0] = math.log(3)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    found = relation_loss(student, teacher, torch.tensor([[1, 1]]))
    assert found.tolist() == pytest.approx([divergence / 4])  # heads times tokens


def test_relations_are_those_of_the_papers_between_models_of_other_widths() -> None:
    """MiniLM v2 written out: 4 relation heads for widths of 8 and 12, row by row and head by head."""
    generator = torch.Generator().manual_seed(5)
    student, teacher = torch.randn(3, 5, 8, generator=generator), torch.randn(3, 5, 12, generator=generator)
    lengths = [5, 3, 1]
    mask = torch.tensor([[int(place < length) for place in range(5)] for length in lengths])

    def relation(vectors: Tensor, head: int) -> Tensor:
        width = vectors.shape[-1] // 4
        own = vectors[:, head * width : (head + 1) * width]
        return own @ own.T / math.sqrt(width)

    expected = []
    for row, length in enumerate(lengths):
        total = 0.0
        for head in range(4):
            log_p, q = (
                relation(student[row, :length], head).log_softmax(-1),
                relation(teacher[row, :length], head).softmax(-1),
            )
            total += float(F.kl_div(log_p, q, reduction="sum"))
        expected.append(total / (4 * length))
    found = relation_loss(scaled_products(student, student, 4), scaled_products(teacher, teacher, 4), mask)
    assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("heads", [1, 2])
def test_relations_are_zero_for_vectors_that_are_turned_within_each_head(heads: int) -> None:
    generator = torch.Generator().manual_seed(5)
    vectors = torch.randn(3, 4, 4, generator=generator)
    turn = torch.linalg.qr(torch.randn(4 // heads, 4 // heads, generator=generator)).Q
    turned = (vectors.unflatten(-1, (heads, -1)) @ turn).flatten(2)
    found = relation_loss(*(scaled_products(own, own, heads) for own in (turned, vectors)), torch.ones(3, 4))
    assert found.tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    if heads == 2:  # turned across heads they are others
        across = relation_loss(*(scaled_products(own, own, 1) for own in (vectors.roll(1, 2) * 2, vectors)), MASK[:3])
        assert float(across[0]) > 0.01


@every_loss
def test_padding_contributes_exactly_zero(loss: Loss) -> None:
    student, teacher = (given.requires_grad_() for given in states())
    found = loss(student, teacher, MASK)
    for row, length in enumerate(MASK.sum(dim=1).tolist()):
        alone = loss(student[row : row + 1, :length], teacher[row : row + 1, :length], MASK[row : row + 1, :length])
        torch.testing.assert_close(found[row : row + 1], alone, rtol=1e-5, atol=1e-6)
    gradients = torch.autograd.grad(found.sum(), [student, teacher])
    for gradient in gradients:
        assert not gradient[MASK == 0].any() and gradient[0].any()
    with torch.no_grad():
        wild = [given.masked_fill(MASK[:, :, None] == 0, 1e4) for given in (student, teacher)]
        assert torch.equal(loss(*wild, MASK), found)


@every_loss
@pytest.mark.filterwarnings("ignore:Input #0 requires gradient:UserWarning")
def test_gradients_are_those_of_finite_differences(loss: Loss) -> None:
    student, teacher = states()
    student.requires_grad_()
    # in float32, as the losses compute: the step is small enough for the curvature and large enough for rounding
    assert torch.autograd.gradcheck(lambda own: loss(own, teacher, MASK), student, eps=3e-3, atol=5e-3, rtol=2e-2)


@every_loss
def test_one_batch_equals_many_small_ones_in_gradient(loss: Loss) -> None:
    inputs, teacher = states()
    weights = torch.eye(2).requires_grad_()

    def gradient(rows: slice) -> Tensor:
        return torch.autograd.grad(loss(inputs[rows] @ weights, teacher[rows], MASK[rows]).sum(), weights)[0]

    parts = [gradient(rows) for rows in (slice(0, 1), slice(1, 3), slice(3, 6))]
    torch.testing.assert_close(torch.stack(parts).sum(dim=0), gradient(slice(0, 6)))
