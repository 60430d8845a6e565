"""Question answering: the loss beside transformers' own, padding that counts for nothing, places from logits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    GPT2Config,
    GPT2LMHeadModel,
    ModernBertConfig,
    ModernBertForQuestionAnswering,
    RobertaConfig,
    RobertaForQuestionAnswering,
)

from pipeline.distillation.lessons import DistillationLoss, with_teacher
from pipeline.distillation.losses import jensen_shannon_loss, logit_mse, reverse_kl_loss, soft_label_loss
from pipeline.distillation.teacher_outputs import TeacherRow
from pipeline.files import InputError
from pipeline.params import DistillParams
from pipeline.params.task_types import OF_LABELS
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows
from pipeline.words import ENDS, MAX_ANSWER_WORDS, STARTS
from tests.shipped_params import shipped_values

HEAD = TASKS["question_answering"]()(["answer"])
NONE = STARTS + ENDS
SHAPE = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def windows(labels: list[list[int]], owners: list[int], before: int = 0) -> TokenRows:
    """Rows whose targets are [CLS] and, behind `before` tokens of a question, all others."""
    chance = np.random.default_rng(0)
    lengths = np.array([len(row) + before for row in labels])
    positions = [[0, *range(1 + before, before + len(row))] for row in labels]
    return TokenRows(
        chance.integers(5, 30, lengths.sum()).astype(np.uint16),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate(labels).astype(np.int64),
        np.concatenate([[0], np.cumsum([len(row) for row in labels])]),
        np.concatenate(positions).astype(np.int64),
        np.full(len(labels), 1 + before),
        np.array(owners),
    )


def collated(rows: TokenRows, *chosen: int) -> dict[str, Tensor]:
    taken = HEAD.rows(rows)
    return dict(HEAD.collate([taken[row] for row in chosen or range(len(rows))], pad_token_id=0))


def model_of(family: str) -> nn.Module:
    torch.manual_seed(0)
    if family == "bert":
        return BertForQuestionAnswering(BertConfig(**SHAPE, **STILL)).eval()
    if family == "modernbert":
        return ModernBertForQuestionAnswering(ModernBertConfig(**SHAPE, pad_token_id=0)).eval()
    return RobertaForQuestionAnswering(RobertaConfig(**SHAPE, type_vocab_size=1)).eval()


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_the_loss_is_transformers_own_where_all_tokens_are_targets(family: str) -> None:
    rows = windows([[0, STARTS, 0, 0, ENDS], [NONE, 0, 0, 0, 0], [0, 0, 0, NONE, 0]], [0, 1, 2])
    model, batch = model_of(family), collated(rows)
    own = {name: batch[name] for name in ("input_ids", "attention_mask")}
    own |= {"token_type_ids": batch["token_type_ids"]} if family == "bert" else {}
    expected = model(**own, start_positions=torch.tensor([1, 0, 3]), end_positions=torch.tensor([4, 0, 3])).loss
    found = HEAD.loss(model)(**batch)
    assert found["count"].item() == 6  # a start and an end for each row
    torch.testing.assert_close(found["loss"] / 6, expected, rtol=1e-5, atol=1e-5)


def test_only_targets_are_chosen_among() -> None:
    rows = windows([[0, STARTS, ENDS], [NONE, 0, 0, 0]], [0, 0], before=2)
    batch, model = collated(rows), model_of("bert")
    output = model(**{name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")})
    expected = -(
        F.log_softmax(output.start_logits[0, [0, 3, 4]], dim=0)[1]
        + F.log_softmax(output.end_logits[0, [0, 3, 4]], dim=0)[2]
        + F.log_softmax(output.start_logits[1, [0, 3, 4, 5]], dim=0)[0]
        + F.log_softmax(output.end_logits[1, [0, 3, 4, 5]], dim=0)[0]
    )
    torch.testing.assert_close(HEAD.loss(model)(**batch)["loss"], expected, rtol=1e-5, atol=1e-5)


def choices(*sizes: int, seed: int = 0) -> Any:
    """Return the choices of rows of so many targets."""
    torch.manual_seed(seed)
    rows = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = torch.zeros(len(rows), dtype=torch.int64)
    labels[torch.tensor([0, *sizes[:-1]]).cumsum(0)] = NONE
    return HEAD.distributions(torch.randn(len(rows), 2), labels, rows)


LOSSES = {
    "soft_labels": lambda own, its, temperature: soft_label_loss(own.logits, its.logits, temperature),
    "reverse_kl": lambda own, its, temperature: reverse_kl_loss(own.logits, its.logits, temperature),
    "jensen_shannon": lambda own, its, temperature: jensen_shannon_loss(own.logits, its.logits, temperature, 0.3),
    "logits": lambda own, its, temperature: logit_mse(own.logits, its.logits, own.real),
    "hard_labels": lambda own, its, temperature: HEAD.label_loss(own),
}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 100.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_padding_contributes_exactly_zero_to_every_loss_and_its_gradient(loss: str, temperature: float) -> None:
    def found(own: Any) -> tuple[Tensor, Tensor]:
        own.logits.requires_grad_()
        teacher = choices(3, 9, seed=1).logits[: len(own.labels), : own.logits.shape[1]]
        losses = LOSSES[loss](own, own._replace(logits=teacher), temperature)
        return losses.detach(), torch.autograd.grad(losses.sum(), own.logits)[0]

    padded = choices(3, 9)
    assert padded.logits.shape == (4, 9) and padded.rows.tolist() == [0, 0, 1, 1]
    alone = padded._replace(logits=padded.logits[:2, :3].clone(), labels=padded.labels[:2], real=padded.real[:2, :3])
    (losses, gradient), (short, of_short) = found(padded), found(alone)
    rounding = 3e-7 * temperature**2
    torch.testing.assert_close(losses[:2], short, rtol=1e-5, atol=rounding)
    torch.testing.assert_close(gradient[:2, :3], of_short, rtol=1e-5, atol=rounding)
    assert of_short.abs().max() > 1e-3 and torch.equal(gradient[:2, 3:], torch.zeros(2, 6))
    assert torch.equal(padded.logits[:2].softmax(dim=-1)[:, 3:], torch.zeros(2, 6))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_are_smoothed_over_targets_alone(smoothing: float) -> None:
    padded = choices(3, 9)
    each = [
        F.cross_entropy(padded.logits[row : row + 1, :size], padded.labels[row : row + 1], label_smoothing=smoothing)
        for row, size in enumerate((3, 3, 9, 9))
    ]
    torch.testing.assert_close(HEAD.label_loss(padded, smoothing).sum(), sum(each))


@pytest.mark.parametrize("consistency", [0.0, 1.0])
def test_a_batch_has_the_gradient_of_its_rows_one_by_one(consistency: float) -> None:
    rows = windows([[0, STARTS, 0, ENDS], [NONE, 0], [0, 0, NONE]], [0, 0, 1], before=1)

    def gradients(*batches: dict[str, Tensor]) -> list[Tensor]:
        model = model_of("bert").train()
        loss = HEAD.loss(model, label_smoothing=0.1, consistency=consistency)
        for batch in batches:
            loss(**batch)["loss"].backward()
        return [weight.grad for weight in model.parameters() if weight.grad is not None]

    whole = gradients(collated(rows))
    for one, other in zip(whole, gradients(*(collated(rows, row) for row in range(3))), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


ROWS = windows([[0, STARTS, 0, 0, 0, ENDS], [NONE, 0]], [0, 1])


def said_by(model: nn.Module) -> list[TeacherRow]:
    """Return what a model says of the six and the two targets of ROWS."""
    batch = collated(ROWS)
    with torch.inference_mode():
        said = model(**{name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")})
    logits = torch.stack([said.start_logits, said.end_logits], dim=-1).numpy()
    return [TeacherRow(logits[0, :6], {}), TeacherRow(logits[1, :2], {})]


def distillation(model: Any, **weights: float) -> DistillationLoss:
    distill = DistillParams.model_validate(shipped_values()["tasks"]["sentiment"]["distill"])
    losses = distill.losses.model_copy(update=dict.fromkeys(OF_LABELS, 0.0) | weights)
    chosen = distill.model_copy(update={"losses": losses, "jensen_shannon_share": 0.3})
    return DistillationLoss(HEAD, model, chosen, 8).eval()


def test_a_student_that_says_what_its_teacher_says_loses_nothing_but_labels() -> None:
    model = model_of("bert")
    batch, teacher = collated(ROWS), said_by(model)

    def loss_of(**weights: float) -> Tensor:
        loss: Tensor = distillation(model, **weights)(**with_teacher(dict(batch), teacher))["loss"]
        return loss

    assert abs(loss_of(soft_labels=1.0, reverse_kl=1.0, jensen_shannon=1.0, logits=1.0)) < 1e-6
    torch.testing.assert_close(loss_of(hard_labels=1.0), HEAD.loss(model)(**batch)["loss"])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_row_teaches_beside_longer_ones_what_it_teaches_alone(loss: str) -> None:
    model, other = model_of("bert"), model_of("bert")
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    teacher, module = said_by(other), distillation(model, **{loss: 1.0})

    def taught(batch: dict[str, Tensor], said: list[TeacherRow]) -> tuple[Tensor, ...]:
        found = module(**with_teacher(batch, said))["loss"]
        return found, *torch.autograd.grad(found, list(module.parameters()), materialize_grads=True)

    parts = zip(taught(collated(ROWS, 0), teacher[:1]), taught(collated(ROWS, 1), teacher[1:]), strict=True)
    for together, (first, second) in zip(taught(collated(ROWS), teacher), parts, strict=True):
        torch.testing.assert_close(together, first + second, rtol=1e-5, atol=1e-6)


def test_answers_are_the_likeliest_span_of_all_windows_as_the_text_has_it() -> None:
    text, far = "Ada met Charles Babbage in London.", 6.0
    # seven words: windows of four, three (from the third on) and so to the end
    rows = windows([[0] * 5, [0] * 5, [0] * 4], [0, 0, 0])
    logits = np.zeros((14, 2), dtype=np.float32)
    logits[[0, 10]] = far  # nothing in the first window, nothing in the last
    logits[5 + 1, 0] = logits[5 + 2, 1] = far  # of the second window the first and the second word
    assert HEAD.answers(logits, rows, [text]) == ["Charles Babbage"]


def test_an_answer_never_ends_before_it_starts_nor_takes_too_many_words() -> None:
    rows, text = windows([[0] * 52], [0]), " ".join(map(str, range(51)))
    logits = np.zeros((52, 2), dtype=np.float32)
    logits[11, 0], logits[5, 1], logits[10 + MAX_ANSWER_WORDS + 1, 1], logits[13, 1] = 9.0, 9.0, 8.0, 1.0
    assert HEAD.answers(logits, rows, [text]) == ["10 11 12"]
    logits[10 + MAX_ANSWER_WORDS, 1] = 8.0
    assert HEAD.answers(logits, rows, [text])[0].split()[-1] == str(10 + MAX_ANSWER_WORDS - 1)


def test_score_is_the_share_of_questions_with_both_ends_right() -> None:
    # the answer to the first question stands in its second window alone; that of the third one nowhere whole
    labels = [[NONE, 0, 0, 0, 0], [0, STARTS, ENDS, 0, 0], [0, NONE, 0], [NONE, 0, 0]]
    rows = windows(labels, [0, 0, 1, 2])
    perfect = np.stack([(rows.labels & mark > 0) * 9.0 for mark in (STARTS, ENDS)], axis=1).astype(np.float32)
    assert HEAD.score(perfect, rows)["exact_match"] == pytest.approx(2 / 3)
    wrong = perfect.copy()
    wrong[[11, 12], 1] = [0.0, 9.0]  # the end of the second answer one word later
    found = HEAD.score(wrong, rows)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["loss"] > HEAD.score(perfect, rows)["loss"]


def test_the_head_is_named_and_a_family_without_one_is_refused(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path / "gpt")
    with pytest.raises(InputError, match="a gpt carries no head for question_answering"):
        HEAD.from_pretrained(tmp_path / "gpt", dropout=0.0, seed=1)
    model_of("bert").base_model.save_pretrained(tmp_path / "bert")  # type: ignore[operator]
    assert HEAD.from_pretrained(tmp_path / "bert", dropout=0.0, seed=1).config.id2label == {0: "start", 1: "end"}
