"""A teacher that is asked in the middle of training says what its cache holds, bit for bit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.distillation.intermediate import State
from pipeline.distillation.online import OnlineTeacher
from pipeline.distillation.teacher_cache import Likeliest, asking, cached_outputs
from pipeline.distillation.teacher_outputs import TeacherOutputs
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.batches import Row

STATES = (State("hidden_states", 0), State("hidden_states", 2), State("keys", 2))


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=60, hidden_size=96, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192, num_labels=3,
        max_position_embeddings=32, initializer_range=0.2,
    )  # fmt: skip
    return BertForSequenceClassification(shape).eval()


def token_rows(count: int, seed: int) -> TokenRows:
    chance = np.random.default_rng(seed)
    rows = [chance.integers(1, 60, size=chance.integers(2, 30)).tolist() for _ in range(count)]
    return TokenRows.from_rows(rows, [0] * count, np.dtype(np.uint16))


SPLITS = {"train": token_rows(200, 1), "transfer": token_rows(70, 2)}  # three batches and eight rows, one and six


@pytest.mark.parametrize("likeliest", [None, Likeliest(2, 2.0)])
def test_what_a_teacher_says_in_any_batch_is_what_its_cache_holds(tmp_path: Path, likeliest: Likeliest | None) -> None:
    kept = cached_outputs(
        SPLITS, bert, folder=tmp_path, inputs={}, states=STATES, dtype=torch.float32, likeliest=likeliest
    )
    teacher, chance = OnlineTeacher(asking(bert(), STATES, torch.float32, likeliest), SPLITS), np.random.default_rng(0)
    everything = [(name, row) for name, rows in SPLITS.items() for row in range(len(rows))]
    for size in (1, 3, 64, 100):
        chosen = [everything[index] for index in chance.choice(len(everything), size, replace=False)]
        answers = teacher.answers([teacher.questions[name][row] for name, row in chosen])
        for (name, row), said in zip(chosen, answers, strict=True):
            expected = kept[name][row]
            np.testing.assert_array_equal(said.logits, expected.logits, strict=True)
            assert (said.likeliest is None) == (expected.likeliest is None)
            if expected.likeliest is not None:
                np.testing.assert_array_equal(said.likeliest, expected.likeliest)
            for state in STATES:
                np.testing.assert_array_equal(said.states[state], expected.states[state], strict=True)


def test_it_is_asked_in_batches_of_the_shapes_that_the_cache_was_made_in() -> None:
    """Five rows of two to six tokens: one batch in the cache, of five rows and six tokens, for any of them."""
    asked: list[tuple[int, int]] = []

    def ask(batch: Sequence[Row], length: int) -> TeacherOutputs:
        asked.append((len(batch), length))
        lengths = np.array([len(row["input_ids"]) for row in batch])
        first = np.array([[float(row["input_ids"][0])] for row in batch], dtype=np.float32)
        tokens = np.concatenate([row["input_ids"] for row in batch])[:, None].astype(np.float16)
        return TeacherOutputs(lengths, np.arange(len(batch) + 1), first, {STATES[0]: tokens})

    rows = TokenRows.from_rows([[7] * length for length in (2, 3, 4, 5, 6)], [0] * 5, np.dtype(np.uint16))
    teacher = OnlineTeacher(ask, {"train": rows})
    questions = teacher.questions["train"]
    assert len(questions) == 5
    one, none = teacher.answers([questions[3], questions[0].without_states()])
    assert asked == [(5, 6)]
    assert one.states[STATES[0]].shape == (5, 1) and none.states[STATES[0]].shape == (0, 1)
    teacher.answers([questions[row] for row in (0, 1, 2, 3, 4, 0, 1)])
    assert asked == [(5, 6)] * 3
