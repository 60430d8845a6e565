"""What the student is marked by: the weighted sum of its losses over rows, from what the teacher's cache holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.distillation.intermediate import State, layer_outputs
from pipeline.distillation.layer_losses import relation_loss, scaled_products
from pipeline.distillation.lessons import DistillationLoss, Lessons, read_alike, states_compared, with_teacher
from pipeline.distillation.teacher_cache import cached_outputs
from pipeline.params import DistillParams, LossWeights, TrainingParams
from pipeline.params.task_types import OF_LABELS, OF_LAYERS
from pipeline.tasks.text_classification import TextClassification
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.batches import OF_TARGETS, share

HEAD = TextClassification(["negative", "positive"])


def bert(width: int = 16, seed: int = 0, heads: int = 2) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    shape = BertConfig(
        vocab_size=30, hidden_size=width, num_hidden_layers=2, num_attention_heads=heads, intermediate_size=32,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.5,
    )  # fmt: skip
    return BertForSequenceClassification(shape).eval()


def token_rows() -> TokenRows:
    """Return seven rows, whose labels are -1 (none), 0, 1 in turn."""
    chance = np.random.default_rng(1)
    rows = [chance.integers(1, 30, size=chance.integers(2, 9)).tolist() for _ in range(7)]
    return TokenRows.from_rows(rows, [i % 3 - 1 for i in range(7)], np.dtype(np.uint16))


def distillation(relation_heads: int = 4, **weights: float) -> DistillParams:
    training = TrainingParams(
        batch_size=4, learning_rate=1e-3, embeddings_rate=1.0, schedule="linear", warmup_share=0.0, weight_decay=0.0,
        max_gradient_norm=1.0, evaluations=1, checkpoint_minutes=1.0, epochs=1, patience=None,
    )  # fmt: skip
    return DistillParams(
        losses=LossWeights(**(dict.fromkeys(OF_LABELS, 0.0) | weights)), temperature=2.0, jensen_shannon_share=0.5,
        layer_map=[[0, 0], [2, 2]], relation_map=[[2, 2]], relation_heads=relation_heads, labelled_weight=3.0,
        training=training,
    )  # fmt: skip


def lessons(folder: Path, distill: DistillParams, rows: list[int]) -> dict[str, torch.Tensor]:
    """Return a batch of rows with what the teacher, `bert()`, says of them."""
    tokens = {"train": token_rows()}
    states = states_compared(distill, student=False)
    said = cached_outputs(tokens, bert, folder=folder, inputs={}, states=states, dtype=torch.float32)["train"]
    taught = Lessons(HEAD.rows(tokens["train"]), said)
    batch, said_rows = zip(*[taught[row] for row in rows], strict=True)
    return with_teacher(HEAD.collate(batch, 0), said_rows)


def loss_of(student: Any, folder: Path, rows: list[int], distill: DistillParams) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    found: dict[str, torch.Tensor] = DistillationLoss(HEAD, student, distill, 16)(**lessons(folder, distill, rows))
    return found


def test_labelled_rows_weigh_more_and_only_they_have_hard_labels(tmp_path: Path) -> None:
    student, distill = bert(8, seed=5), distillation(logits=1.0)
    batch = lessons(tmp_path, distill, [0, 1])  # row 0 has no label, row 1 has label 0
    logits = student(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    mse = (logits - batch["teacher_logits"]).square().mean(dim=1)
    found = loss_of(student, tmp_path, [0, 1], distill)
    assert found["count"].item() == 4.0
    assert found["loss"].item() == pytest.approx((mse[0] + 3 * mse[1]).item(), rel=1e-5)
    found = loss_of(student, tmp_path, [0, 1], distillation(hard_labels=1.0))
    assert found["loss"].item() == pytest.approx(-3 * logits.log_softmax(dim=1)[1, 0].item(), rel=1e-5)


def test_a_row_weighs_its_weight_times_what_its_label_makes_of_it(tmp_path: Path) -> None:
    student, distill = bert(8, seed=5), distillation(logits=1.0)
    batch = lessons(tmp_path, distill, [0, 1])  # row 0 has no label, row 1 has label 0
    logits = student(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    mse = (logits - batch["teacher_logits"]).square().mean(dim=1)
    found = DistillationLoss(HEAD, student, distill, 16)(**batch, row_weights=torch.tensor([0.5, 2.0]))
    assert found["count"].item() == 0.5 + 2 * 3
    assert found["loss"].item() == pytest.approx((0.5 * mse[0] + 2 * 3 * mse[1]).item(), rel=1e-5)


@pytest.mark.parametrize("loss", [loss for loss in OF_LABELS if loss != "hard_labels"])
def test_the_teacher_has_nothing_to_learn_from_itself(loss: str, tmp_path: Path) -> None:
    distill = distillation(**{loss: 1.0})
    module = DistillationLoss(HEAD, bert(), distill, 16)
    for projection in module.projections.values():
        torch.nn.init.eye_(projection)
    batch = lessons(tmp_path, distill, [0, 3, 6])
    assert module(**batch)["loss"].item() == pytest.approx(0.0, abs=1e-4)  # float16 on disk
    other = DistillationLoss(HEAD, bert(seed=5), distill, 16)
    assert other(**batch)["loss"].item() > 0.01


@pytest.mark.parametrize("loss", OF_LAYERS)
def test_every_loss_of_layers_teaches_the_layers_below_it(loss: str, tmp_path: Path) -> None:
    student = bert(8, seed=5)
    loss_of(student, tmp_path, [1, 2], distillation(**{loss: 1.0}))["loss"].backward()
    taught = student.bert.encoder.layer[0].output.dense.weight.grad
    assert taught is not None and taught.abs().max() > 0
    assert student.classifier.weight.grad is None or not student.classifier.weight.grad.any()


def test_rows_are_alike_where_every_token_is_the_teachers_own() -> None:
    teacher_ids = np.array([0, 1, 2, 3, 7, 9])
    teacher = TokenRows.from_rows([[2, 7, 9, 3], [2, 8, 3], [2, 8, 3], [], [2, 9, 3]], [0] * 5, np.dtype(np.uint16))
    # the third row is as long as the teacher's, of other pieces; the second is longer
    student = TokenRows.from_rows([[2, 4, 5, 3], [2, 4, 5, 3], [2, 1, 3], [], [2, 5, 3]], [0] * 5, np.dtype(np.uint16))
    assert read_alike(student, teacher, teacher_ids).tolist() == [True, False, False, True, True]


@pytest.mark.parametrize("loss", OF_LAYERS)
def test_a_row_that_is_other_tokens_to_the_teacher_loses_nothing_by_its_layers(loss: str, tmp_path: Path) -> None:
    distill, student = distillation(soft_labels=1.0, **{loss: 1.0}), bert(8, seed=5)
    answers = loss_of(student, tmp_path / "answers", [1, 2], distillation(soft_labels=1.0))
    both, alone = (loss_of(student, tmp_path, rows, distill) for rows in ([1, 2], [1]))
    second = loss_of(student, tmp_path / "answers", [2], distillation(soft_labels=1.0))
    tokens = {"train": token_rows()}
    states = states_compared(distill, student=False)
    said = cached_outputs(tokens, bert, folder=tmp_path, inputs={}, states=states, dtype=torch.float32)["train"]

    def found(alike: list[int]) -> torch.Tensor:
        taught = Lessons(HEAD.rows(tokens["train"]), said, np.isin(np.arange(7), alike))
        batch, its = zip(*[taught[row] for row in (1, 2)], strict=True)
        torch.manual_seed(1)
        result = DistillationLoss(HEAD, student, distill, 16)(**with_teacher(HEAD.collate(batch, 0), its))
        assert result["count"] == both["count"]
        return result["loss"]

    torch.testing.assert_close(found([1, 2]), both["loss"], rtol=0, atol=0)
    torch.testing.assert_close(found([1]), alone["loss"] + second["loss"])
    torch.testing.assert_close(found([]), answers["loss"])
    found([]).backward()
    gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_relations_need_neither_the_teachers_heads_nor_its_width(tmp_path: Path) -> None:
    student, rows = bert(8, seed=5, heads=4), [1, 2]  # its teacher has two heads and twice the width
    found = {
        heads: loss_of(student, tmp_path, rows, distillation(heads, value_relations=1.0))["loss"].item()
        for heads in (1, 4, 8)
    }
    distill = distillation(4, value_relations=1.0)
    batch, state = lessons(tmp_path, distill, rows), State("values", 2)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    own = layer_outputs(student, inputs, batch["positions"], [state]).states[state]
    products = (scaled_products(values, values, 4) for values in (own, batch[f"teacher_{state}"]))
    of_rows = relation_loss(*products, batch["attention_mask"])  # row 1 has a label and weighs 3, row 2 as well
    assert found[4] == pytest.approx(3 * of_rows.sum().item(), rel=1e-5)
    assert len({round(value, 4) for value in found.values()}) == 3


def test_the_cosine_has_a_projection_only_where_widths_differ(tmp_path: Path) -> None:
    cosine = distillation(hidden_cosines=1.0)
    assert not DistillationLoss(HEAD, bert(seed=5), cosine, 16).projections
    narrow = DistillationLoss(HEAD, bert(8, seed=5), cosine, 16).projections
    assert {name: tuple(weight.shape) for name, weight in narrow.items()} == {"0_0": (8, 16), "2_2": (8, 16)}


def test_the_cache_has_to_hold_what_the_losses_read_and_nothing_else() -> None:
    assert states_compared(distillation(soft_labels=1.0), student=False) == ()
    cosines_and_values = states_compared(distillation(hidden_cosines=1.0, value_relations=1.0), student=False)
    assert cosines_and_values == (State("hidden_states", 0), State("hidden_states", 2), State("values", 2))
    attentions = states_compared(distillation(attentions=1.0), student=True)
    assert attentions == (State("keys", 2), State("queries", 2))  # embeddings have none


def test_one_batch_equals_micro_batches_in_gradient(tmp_path: Path) -> None:
    distill = distillation(**dict.fromkeys(OF_LABELS, 0.5))
    torch.manual_seed(1)
    loss = DistillationLoss(HEAD, bert(8, seed=5), distill, 16)
    weights = [weight for weight in loss.parameters() if weight.requires_grad]

    def gradients(rows: list[int]) -> tuple[torch.Tensor | None, ...]:
        batch = lessons(tmp_path, distill, rows)
        return torch.autograd.grad(loss(**batch)["loss"], weights, materialize_grads=True)

    parts = [gradients(rows) for rows in ([0], [1, 2], [3, 4, 5])]
    for whole, *pieces in zip(gradients([0, 1, 2, 3, 4, 5]), *parts, strict=True):
        torch.testing.assert_close(torch.stack(pieces).sum(dim=0), whole, rtol=1e-4, atol=1e-5)


def test_the_shares_of_a_batch_lose_together_what_it_loses(tmp_path: Path) -> None:
    distill = distillation(**dict.fromkeys(OF_LABELS, 0.5))
    torch.manual_seed(1)
    loss = DistillationLoss(HEAD, bert(8, seed=5), distill, 16)
    batch = lessons(tmp_path, distill, [0, 1, 2, 3, 4, 5])
    assert {name for name, value in batch.items() if len(value) != len(batch["input_ids"])} <= OF_TARGETS
    whole, shares = loss(**batch), [loss(**share(batch, rank, 4)[0]) for rank in range(4)]
    for figure in ("loss", "count"):
        torch.testing.assert_close(sum(output[figure] for output in shares), whole[figure], rtol=1e-5, atol=1e-5)
