"""Any number of labels for a text: the loss of transformers, distillation label by label, answers by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
)

from pipeline.architectures import ARCHITECTURES
from pipeline.distillation.lessons import DistillationLoss, with_teacher
from pipeline.distillation.teacher_outputs import TeacherRow
from pipeline.params import ArchitectureParams, DistillParams, LossWeights, TrainingParams
from pipeline.params.task_types import OF_LABELS
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows

LABELS = ["art", "food", "war"]
HEAD = TASKS["multi_label_classification"]()(LABELS)
NO, YES, UNKNOWN = 0, 1, -1
SETS = [[YES, NO, YES], [NO, NO, NO], [YES, YES, YES], [NO, YES, NO]]


def bert(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.5}
    return BertForSequenceClassification(BertConfig(vocab_size=30, hidden_size=16, **shape, **HEAD.names)).eval()


def gpt() -> PreTrainedModel:
    torch.manual_seed(0)
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "initializer_range": 0.5, "pad_token_id": 0}
    return GPT2ForSequenceClassification(GPT2Config(vocab_size=30, **shape, **HEAD.names)).eval()


def token_rows(sets: list[list[int]]) -> TokenRows:
    chance = np.random.default_rng(1)
    rows = [chance.integers(1, 30, chance.integers(2, 9)) for _ in sets]
    offsets = np.cumsum([0, *map(len, rows)])
    return TokenRows.one_label_each(np.concatenate(rows).astype(np.uint16), offsets, np.array(sets, dtype=np.int8))


def batch_of(sets: list[list[int]]) -> dict[str, torch.Tensor]:
    return HEAD.collate([*HEAD.rows(token_rows(sets))], pad_token_id=0)


@pytest.mark.parametrize("model", [bert(), gpt()], ids=["bert", "gpt"])
def test_the_loss_is_the_one_of_transformers_and_so_is_its_gradient(model: Any) -> None:
    batch = batch_of(SETS)
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    theirs = model(**given, labels=torch.tensor(SETS, dtype=torch.float32)).loss
    found = HEAD.loss(model)(**batch)
    assert found["count"].item() == len(SETS) * len(LABELS)
    ours = found["loss"] / found["count"]
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    weights = model.score.weight if hasattr(model, "score") else model.classifier.weight
    of_both = [torch.autograd.grad(loss, weights)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*of_both, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_of_labels_is_that_of_finite_differences(smoothing: float) -> None:
    torch.manual_seed(2)
    logits = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[YES, NO, YES], [UNKNOWN] * 3, [NO, YES, NO]])

    def losses(logits: torch.Tensor) -> torch.Tensor:
        return HEAD.label_loss(HEAD.distributions(logits, labels, torch.arange(3)), smoothing)

    # losses compute in float32: with a larger step there is less rounding, and a third-order remainder
    assert torch.autograd.gradcheck(losses, logits, eps=1e-2, atol=1e-3, rtol=1e-3)
    (gradient,) = torch.autograd.grad(losses(logits).sum(), logits)
    assert torch.equal(gradient[1], torch.zeros(3, dtype=torch.float64))
    given = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]) * (1 - smoothing) + smoothing / 2
    torch.testing.assert_close(gradient[[0, 2]], logits[[0, 2]].sigmoid().detach() - given, rtol=0, atol=1e-6)


def test_a_row_without_an_answer_loses_nothing_and_readings_that_agree_add_nothing() -> None:
    model, unknown = bert(), [UNKNOWN] * 3
    alone, beside = (HEAD.loss(model)(**batch_of(sets))["loss"] for sets in (SETS, [*SETS, unknown]))
    torch.testing.assert_close(beside, alone)
    twice = HEAD.loss(model, consistency=1.0).train()
    model.eval()
    torch.testing.assert_close(twice(**batch_of(SETS)), HEAD.loss(model)(**batch_of(SETS)))


def test_soft_labels_are_a_binary_divergence_of_each_label_with_the_temperature_squared() -> None:
    training = TrainingParams(
        batch_size=4, learning_rate=1e-3, embeddings_rate=1.0, schedule="linear", warmup_share=0.0, weight_decay=0.0,
        max_gradient_norm=1.0, evaluations=1, checkpoint_minutes=1.0, epochs=1, patience=None,
    )  # fmt: skip
    distill = DistillParams(
        losses=LossWeights(**dict.fromkeys(OF_LABELS, 0.0) | {"soft_labels": 1.0}), temperature=2.0,
        jensen_shannon_share=None, layer_map=[], relation_map=[], relation_heads=None, labelled_weight=1.0,
        training=training,
    )  # fmt: skip
    student, batch = bert(), batch_of(SETS)
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    logits = student(**given).logits.detach().double()
    teacher = np.random.default_rng(2).normal(size=(len(SETS), len(LABELS))).astype(np.float32)

    def loss(said: np.ndarray) -> float:
        rows = [TeacherRow(row[None].astype(np.float32), {}) for row in said]
        found = DistillationLoss(HEAD, student, distill, 16)(**with_teacher(dict(batch), rows))
        assert found["count"].item() == len(SETS) * len(LABELS)
        return found["loss"].item()

    expected = 0.0
    for own, its in zip(logits.flatten().tolist(), teacher.flatten().tolist(), strict=True):
        p, q = (1 / (1 + math.exp(-z / 2.0)) for z in (own, its))
        expected += 4.0 * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)))
    assert loss(teacher) == pytest.approx(expected, rel=1e-5)
    assert loss(logits.numpy()) == pytest.approx(0.0, abs=1e-5)


def test_answers_and_score_by_hand() -> None:
    logits = np.array([[2.0, -1.0, 0.0], [-3.0, -1.0, -2.0], [1.0, 1.0, 1.0], [0.5, 3.0, -1.0]], dtype=np.float32)
    rows = token_rows(SETS)
    assert HEAD.answers(logits, rows, [""] * 4) == [{"art"}, set(), {"art", "food", "war"}, {"art", "food"}]
    found = HEAD.score(logits, rows)
    assert found["micro_f1"] == pytest.approx(2 * 5 / (6 + 6))  # 5 right of 6 given and 6 that are there
    signs = np.where(np.array(SETS) == 1, -1.0, 1.0)
    assert found["loss"] == pytest.approx(float(np.log1p(np.exp(signs * logits)).mean()), rel=1e-6)
    nothing = HEAD.score(np.full((1, 3), -1.0, np.float32), token_rows([[NO, NO, NO]]))
    assert nothing["micro_f1"] == 1.0


def test_a_model_says_of_itself_what_it_answers() -> None:
    config = bert().config
    assert config.problem_type == "multi_label_classification"
    assert config.id2label == dict(enumerate(LABELS))


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "gpt", "llama"])
def test_a_head_with_a_bias_begins_at_how_frequent_labels_are(family: str) -> None:
    shape = ArchitectureParams(
        family=family, layers=1, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.0
    )
    torch.manual_seed(0)
    build = ARCHITECTURES[family]().build
    model = build(shape, head=HEAD.head, vocabulary_size=30, pad_token_id=0, **HEAD.names).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    HEAD.start(model, token_rows([*SETS, [YES, NO, NO], [UNKNOWN] * 3]))
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    if family in ("gpt", "llama"):
        assert changed == []
    else:
        (name,) = changed  # of five rows that say so three have `art`, two `food` and two `war`
        assert model.state_dict()[name].sigmoid().tolist() == pytest.approx([4 / 7, 3 / 7, 3 / 7])
