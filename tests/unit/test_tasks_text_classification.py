"""Text classification: padding, the loss as a sum, answers and the metric, on numbers worked out by hand."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertModel

from pipeline.files import InputError
from pipeline.tasks import TASKS
from pipeline.tasks.labelling_loss import disagreement
from pipeline.tasks.text_classification import TextClassification
from pipeline.tokenization.ragged import TokenRows

HEAD = TextClassification(["negative", "positive"])
SHAPE = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def token_rows() -> TokenRows:
    return TokenRows.from_rows([[2, 7, 3], [2, 3], [2, 8, 9, 3]], [1, -1, 0], np.dtype(np.uint16))


def labelled(labels: list[int]) -> TokenRows:
    return TokenRows.from_rows([[2, 3]] * len(labels), labels, np.dtype(np.uint16))


class Linear(nn.Module):
    """A classifier of the mean token id: enough to have a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.3, -0.2]))

    def forward(self, input_ids, attention_mask):
        mean = (input_ids * attention_mask).sum(1) / attention_mask.sum(1)
        return SimpleNamespace(logits=mean[:, None] * self.weight)


def test_the_dictionary_makes_the_task() -> None:
    assert TASKS["text_classification"]()(["a", "b"]).labels == ["a", "b"]


def test_collate_pads_to_the_longest_row() -> None:
    rows = HEAD.rows(token_rows())
    batch = HEAD.collate([rows[0], rows[1]], pad_token_id=5)
    assert batch["input_ids"].tolist() == [[2, 7, 3], [2, 3, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [1, -1]
    assert batch["positions"].tolist() == [0, 3]


def test_rows_with_weights_count_and_lose_as_much_as_they_weigh() -> None:
    rows = HEAD.rows(replace(token_rows(), weights=np.array([2.0, 7.0, 0.5], dtype=np.float32)))
    batch = HEAD.collate([rows[0], rows[1], rows[2]], pad_token_id=5)
    assert batch["row_weights"].tolist() == [2.0, 7.0, 0.5]
    module = HEAD.loss(Linear())
    found = module(**batch)
    means = [(2 + 7 + 3) / 3, (2 + 8 + 9 + 3) / 4]  # of the token ids of the two rows with labels, 1 and 0
    logits = [(0.3 * mean, -0.2 * mean) for mean in means]
    losses = [math.log(1 + math.exp(logits[0][0] - logits[0][1])), math.log(1 + math.exp(logits[1][1] - logits[1][0]))]
    assert found["loss"].item() == pytest.approx(2 * losses[0] + 0.5 * losses[1], rel=1e-5)
    assert found["count"].item() == 9.5
    # a second reading that says the same leaves both as they are
    again = HEAD.loss(Linear(), consistency=1.0).train()(**batch)
    assert again["loss"].item() == pytest.approx(found["loss"].item()) and again["count"].item() == 9.5


def test_score_is_the_hand_computed_value() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 5.0]], dtype=np.float32)
    found = HEAD.score(logits, labelled([0, 0, 0, 1]))
    assert found["accuracy"] == 0.75
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)  # 2 tp / (2 tp + fp + fn) of each class
    losses = [math.log1p(math.exp(-2)), math.log1p(math.exp(1)), math.log1p(math.exp(-3)), math.log1p(math.exp(-5))]
    assert found["loss"] == pytest.approx(sum(losses) / 4)


def test_score_of_huge_logits_is_a_number() -> None:
    found = HEAD.score(np.array([[1000.0, -1000.0]], dtype=np.float32), labelled([1]))
    assert found == {"accuracy": 0.0, "macro_f1": 0.0, "loss": 2000.0}


def test_the_likeliest_label_is_the_answer() -> None:
    assert HEAD.answers(np.array([[0.0, 2.0], [1.0, -1.0]]), labelled([0, 0]), ["a", "b"]).tolist() == [1, 0]


def test_loss_is_a_sum_with_its_count_and_smoothing_mixes_in_the_uniform() -> None:
    model = Linear()
    batch = HEAD.collate([HEAD.rows(token_rows())[row] for row in (0, 2)], pad_token_id=0)
    means = [4.0, 5.5]
    log_p = [torch.log_softmax(torch.tensor([0.3 * mean, -0.2 * mean]), 0).tolist() for mean in means]
    plain = HEAD.loss(model)(**batch)
    assert plain["count"].item() == 2
    assert plain["loss"].item() == pytest.approx(-log_p[0][1] - log_p[1][0], rel=1e-6)
    smooth = HEAD.loss(model, label_smoothing=0.2)(**batch)["loss"].item()
    assert smooth == pytest.approx(-0.9 * log_p[0][1] - 0.1 * log_p[0][0] - 0.9 * log_p[1][0] - 0.1 * log_p[1][1])


class Wavering(nn.Module):
    """A classifier whose two readings of a batch differ: the second one's logits are doubled."""

    def forward(self, input_ids, attention_mask):
        rows, reading = len(input_ids) // 2, torch.tensor([1.0, 2.0])
        logits = torch.tensor([math.log(3), 0.0]).repeat(2 * rows, 1) * reading.repeat_interleave(rows)[:, None]
        return SimpleNamespace(logits=logits)


def test_consistency_is_the_mean_of_both_losses_and_their_divergence() -> None:
    batch = HEAD.collate([HEAD.rows(token_rows())[2]], pad_token_id=0)  # label 0; p = (3/4, 1/4), q = (9/10, 1/10)
    found = HEAD.loss(Wavering(), consistency=2.0)(**batch)
    losses = -(math.log(3 / 4) + math.log(9 / 10)) / 2
    divergence = ((3 / 4 - 9 / 10) * math.log(5 / 6) + (1 / 4 - 1 / 10) * math.log(5 / 2)) / 2
    assert found["loss"].item() == pytest.approx(losses + 2.0 * divergence, rel=1e-6)
    assert found["count"].item() == 1


def test_readings_that_agree_add_nothing_and_evaluation_reads_once() -> None:
    batch, model = HEAD.collate([HEAD.rows(token_rows())[row] for row in (0, 2)], pad_token_id=0), Linear()
    plain, consistent = HEAD.loss(model)(**batch), HEAD.loss(model, consistency=1.0)
    torch.testing.assert_close(consistent(**batch), plain)
    seen = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    consistent.train()(**batch)
    consistent.eval()(**batch)
    assert seen == [4, 2]


def test_disagreement_is_symmetric_and_zero_for_equal_logits() -> None:
    first, second = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(disagreement(first, second), disagreement(second, first))
    assert disagreement(first, first).tolist() == [0.0] * 5
    assert (disagreement(first, second) > 0).all()


def test_one_batch_equals_micro_batches_in_gradient() -> None:
    rows, model = HEAD.rows(token_rows()), Linear()
    loss = HEAD.loss(model, label_smoothing=0.1)
    whole = torch.autograd.grad(loss(**HEAD.collate([rows[0], rows[2]], 0))["loss"], model.weight)[0]
    parts = [torch.autograd.grad(loss(**HEAD.collate([rows[row]], 0))["loss"], model.weight)[0] for row in (0, 2)]
    torch.testing.assert_close(whole, parts[0] + parts[1])


def test_evaluation_without_rows_is_refused() -> None:
    empty = TokenRows.from_rows([], [], np.dtype(np.uint16))
    with pytest.raises(InputError, match="no rows"):
        HEAD.evaluation(empty, batch_size=2, pad_token_id=0, dtype=torch.float32)


def test_a_head_is_drawn_from_the_seed_and_nothing_is_said_of_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    BertForMaskedLM(BertConfig(**SHAPE)).save_pretrained(tmp_path)
    capfd.readouterr()
    first, again, other = (HEAD.from_pretrained(tmp_path, dropout=0.0, seed=seed) for seed in (1, 1, 2))
    assert "MISSING" not in "".join(capfd.readouterr())
    for name in ("classifier.weight", "bert.pooler.dense.weight"):
        assert torch.equal(first.state_dict()[name], again.state_dict()[name])
        assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    assert first.config.id2label == {0: "negative", 1: "positive"}


def test_a_pooler_that_comes_with_the_encoder_is_kept(tmp_path: Path) -> None:
    source = BertModel(BertConfig(**SHAPE))
    source.save_pretrained(tmp_path)
    model = HEAD.from_pretrained(tmp_path, dropout=0.0, seed=1)
    assert torch.equal(model.bert.pooler.dense.weight, source.pooler.dense.weight)


def test_half_an_encoder_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(**SHAPE)).save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'))
    with pytest.raises(InputError, match=r"no weights for bert\.encoder\.layer\.1"):
        HEAD.from_pretrained(tmp_path, dropout=0.0, seed=1)
