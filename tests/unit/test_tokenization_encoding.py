"""The first token of every word and the second of two texts, in both kinds of tokenizer, as far as a row has room."""

import itertools

import numpy as np
import pytest
from tokenizers import Tokenizer

from pipeline.tokenization.encoding import encode_rows, encode_words
from pipeline.tokenization.training import train_bpe, train_wordpiece
from pipeline.words import words

TEXTS = ["Ada Lovelace met Babbage!", "the unbelievable engine", "東京 tower", "…"]


@pytest.fixture(scope="module", params=[(train_wordpiece, 60), (train_bpe, 275)], ids=["wordpiece", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    train, size = request.param
    corpus = ["ada love met the engine of babbage and the tower 東京 …"] * 5
    tokenizer: Tokenizer = train(lambda: iter([corpus]), size, True, 1)
    return tokenizer


def test_every_word_is_carried_by_the_token_that_begins_it(tokenizer: Tokenizer) -> None:
    labels = [[10 * row + word for word in range(len(words(text)))] for row, text in enumerate(TEXTS)]
    rows = encode_words(tokenizer, TEXTS, labels, 200)
    assert [rows.labels[first:last].tolist() for first, last in itertools.pairwise(rows.targets)] == labels
    for row, text in enumerate(TEXTS):
        encoding = tokenizer.encode(text)
        assert rows[row].tolist() == encoding.ids
        positions = rows.positions[rows.targets[row] : rows.targets[row + 1]].tolist()
        for position, (start, _) in zip(positions, words(text), strict=True):
            first, last = encoding.offsets[position]
            assert first <= start < last, (text, position)


def test_of_the_tokens_that_split_a_character_the_first_carries_its_word() -> None:
    tokenizer = train_bpe(lambda: iter([["ada"]]), 262, True, 1)
    rows = encode_words(tokenizer, ["京 ada"], [[1, 2]], 20)
    assert len(tokenizer.encode("京").ids) > 3
    assert rows.positions.tolist()[0] == 1


def test_words_without_room_have_no_label(tokenizer: Tokenizer) -> None:
    text = "love the engine"
    whole = tokenizer.encode(text)
    limit = whole.char_to_token(text.index("engine")) + 1  # [SEP] takes the place of its first token
    rows = encode_words(tokenizer, [text, "love"], [[1, 2, 3], [4]], limit)
    assert len(rows[0]) == limit
    assert rows.labels.tolist() == [1, 2, 4]
    assert rows.targets.tolist() == [0, 2, 3]


def test_a_pair_is_framed_as_the_tokenizer_frames_it_and_its_second_text_is_told(tokenizer: Tokenizer) -> None:
    first, second = ["love the engine", "tower"], ["the tower", "ada met the engine of babbage and the tower"]
    rows = encode_rows(tokenizer, first, np.array([1, 0]), 200, second)
    for row, encoding in enumerate(tokenizer.encode_batch(list(zip(first, second, strict=True)))):
        assert rows[row].tolist() == encoding.ids
        assert [int(place >= rows.seconds[row]) for place in range(len(encoding.ids))] == encoding.type_ids
    alone = encode_rows(tokenizer, first, np.array([1, 0]), 200)
    assert alone.seconds.tolist() == alone.lengths.tolist()


def test_of_a_pair_the_longer_text_is_cut(tokenizer: Tokenizer) -> None:
    short, long = "tower", "ada met the engine of babbage and the tower " * 9
    limit = len(tokenizer.encode(short).ids) + 12
    (row,) = encode_rows(tokenizer, [short], np.array([0]), limit, [long])
    assert len(row) == limit
    assert row[: limit - 12].tolist() == tokenizer.encode(short).ids
