"""Token classification: targets in a batch, the loss beside transformers' own, spans from logits, their F1."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertForTokenClassification, GPT2Config, GPT2LMHeadModel

from pipeline.files import InputError
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows

HEAD = TASKS["token_classification"]()(["person", "place"])
OUTSIDE, B_PERSON, I_PERSON, B_PLACE, I_PLACE = range(5)
SHAPE = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def token_rows() -> TokenRows:
    """Two rows of five and three tokens with two words and one word."""
    ids, offsets = np.array([2, 7, 8, 9, 3, 2, 5, 3], dtype=np.uint16), np.array([0, 5, 8])
    return tagged(ids, offsets, [B_PERSON, OUTSIDE, B_PLACE], [0, 2, 3], [1, 3, 1])


def tagged(ids: np.ndarray, offsets: np.ndarray, tags: list[int], targets: list[int], at: list[int]) -> TokenRows:
    return TokenRows(
        ids, offsets, np.array(tags), np.array(targets), np.array(at), np.diff(offsets), np.arange(len(offsets) - 1)
    )


def one_hot(tags: list[int]) -> np.ndarray:
    return np.eye(5, dtype=np.float32)[tags] * 9


def test_collate_says_where_in_the_batch_each_word_is() -> None:
    rows = HEAD.rows(token_rows())
    batch = HEAD.collate([rows[1], rows[0]], pad_token_id=0)
    assert batch["input_ids"].tolist() == [[2, 5, 3, 0, 0], [2, 7, 8, 9, 3]]
    assert batch["positions"].tolist() == [1, 6, 8]
    assert batch["labels"].tolist() == [B_PLACE, B_PERSON, OUTSIDE]


def test_the_loss_is_transformers_own() -> None:
    torch.manual_seed(0)
    model = BertForTokenClassification(BertConfig(**SHAPE, num_labels=5)).eval()
    rows = HEAD.rows(token_rows())
    batch = HEAD.collate([rows[0], rows[1]], pad_token_id=0)
    everywhere = torch.full(batch["input_ids"].shape, -100)
    everywhere.view(-1)[batch["positions"]] = batch["labels"]
    found = HEAD.loss(model)(**batch)
    expected = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=everywhere).loss
    assert found["count"].item() == 3
    torch.testing.assert_close(found["loss"] / 3, expected, rtol=1e-5, atol=1e-5)


def test_two_readings_of_a_batch_ask_about_the_same_words() -> None:
    torch.manual_seed(0)
    model = BertForTokenClassification(
        BertConfig(**SHAPE, num_labels=5, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    batch = HEAD.collate([HEAD.rows(token_rows())[row] for row in (0, 1)], pad_token_id=0)
    torch.testing.assert_close(HEAD.loss(model, consistency=1.0).train()(**batch), HEAD.loss(model)(**batch))


def test_answers_are_spans_in_characters() -> None:
    logits = one_hot([B_PERSON, I_PERSON, OUTSIDE, OUTSIDE, B_PLACE])
    texts = ["Ada Lovelace was here", "London and Paris"]
    rows = tagged(np.zeros(5, np.uint16), np.array([0, 4, 5]), [OUTSIDE] * 5, [0, 4, 5], [0, 1, 2, 3, 0])
    spans = HEAD.answers(logits, rows, texts)
    assert spans == [[(0, 12, "person")], [(0, 6, "place")]]


def test_score_is_the_hand_computed_f1() -> None:
    meant = [B_PERSON, I_PERSON, OUTSIDE, B_PLACE, OUTSIDE, B_PLACE]
    said = [B_PERSON, I_PERSON, OUTSIDE, B_PLACE, I_PLACE, B_PERSON]  # one right of three given and three named
    rows = tagged(np.zeros(8, np.uint16), np.array([0, 6, 8]), meant, [0, 5, 6], [*range(6)])
    assert HEAD.score(one_hot(said), rows)["span_f1"] == pytest.approx(1 / 3)
    perfect = HEAD.score(one_hot(meant), rows)
    assert perfect["span_f1"] == 1.0 and perfect["loss"] == pytest.approx(np.log1p(4 * np.exp(-9.0)))


def test_a_span_does_not_go_on_in_the_next_row() -> None:
    rows = tagged(np.zeros(4, np.uint16), np.array([0, 2, 4]), [B_PERSON, OUTSIDE], [0, 1, 2], [0, 0])
    assert HEAD.score(one_hot([B_PERSON, I_PERSON]), rows)["span_f1"] == 1.0


def test_a_family_without_such_a_head_is_refused(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a gpt carries no head for token_classification"):
        HEAD.from_pretrained(tmp_path, dropout=0.0, seed=1)


def test_the_head_knows_its_tags(tmp_path: Path) -> None:
    BertForMaskedLM(BertConfig(**SHAPE)).save_pretrained(tmp_path)
    model = HEAD.from_pretrained(tmp_path, dropout=0.0, seed=1)
    assert list(model.config.id2label.values()) == ["O", "B-person", "I-person", "B-place", "I-place"]
