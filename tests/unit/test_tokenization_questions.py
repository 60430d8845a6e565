"""Windows of texts with the question before each: every word in one, an answer where it stands, for two tokenizers."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline.files import InputError
from pipeline.tokenization.folder import SPECIAL_TOKENS
from pipeline.tokenization.questions import MIN_ROOM, encode_questions
from pipeline.tokenization.ragged import TokenRows, with_same_targets
from pipeline.tokenization.table import AnswerPlace
from pipeline.tokenization.training import train_bpe, train_wordpiece
from pipeline.tokenization.vocabulary import cut_vocabulary
from pipeline.words import ENDS, STARTS, next_window, words

CORPUS = ["who met ada lovelace and the engine of babbage in 1833 at the tower 東 京 , cafe é . ?"] * 5
QUESTION = "who met ada?"
PIECES = ["ada", "lovelace", "Engine", "babbage", "1833", "東京", "café", "cafe\u0301", ",", ".", "zzzz", "  ", "\n"]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map(" ".join)


def wordpiece() -> Tokenizer:
    return train_wordpiece(lambda: iter([CORPUS]), 85, True, 1)


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return wordpiece() if request.param == "wordpiece" else train_bpe(lambda: iter([CORPUS]), 275, True, 1)


def rows_of(tokenizer: Tokenizer, text: str, answer: tuple[int, int], beside: Tokenizer | None = None) -> TokenRows:
    room = len(tokenizer.encode(QUESTION, add_special_tokens=False).ids) + tokenizer.num_special_tokens_to_add(True)
    return encode_questions(tokenizer, [text], [AnswerPlace("a", *answer)], room + 12, [QUESTION], beside)


def windows(rows: TokenRows) -> list[tuple[int, int, np.ndarray]]:
    """Return the first word of each window, the one after its last, and the labels."""
    found, word = [], 0
    for first, last in itertools.pairwise(rows.targets.tolist()):
        count = last - first - 1
        found.append((word, word + count, rows.labels[first:last]))
        word = next_window(word, count)
    return found


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(TEXTS, st.data())
def test_every_word_stands_in_a_window_and_an_answer_where_the_window_holds_it(
    tokenizer: Tokenizer, text: str, data: st.DataObject
) -> None:
    borders = words(text)
    if not borders:
        return
    first = data.draw(st.integers(0, len(borders) - 1))
    last = data.draw(st.integers(first, min(first + 3, len(borders) - 1)))
    rows = rows_of(tokenizer, text, (borders[first][0], borders[last][1]))
    found = windows(rows)
    assert {word for begin, end, _ in found for word in range(begin, end)} == {*range(len(borders))}
    for begin, end, labels in found:
        if begin <= first and last < end:
            assert labels[0] == 0
            assert [*np.flatnonzero(labels & STARTS)] == [first - begin + 1]
            assert [*np.flatnonzero(labels & ENDS)] == [last - begin + 1]
        else:
            assert labels[0] == STARTS + ENDS and not labels[1:].any()


@pytest.mark.parametrize("text", ["東京 is not 東京 , cafe\u0301 or café", "Ada, Babbage (1833) met the Engine. " * 4])
def test_a_target_is_the_first_token_of_its_word(tokenizer: Tokenizer, text: str) -> None:
    rows, borders = rows_of(tokenizer, text, (0, 2)), words(text)
    for row, (begin, end, _) in enumerate(windows(rows)):
        start = borders[begin][0] - 1 if begin and text[borders[begin][0] - 1] == " " else borders[begin][0]
        whole = tokenizer.encode(QUESTION, text[start:])
        assert rows[row].tolist()[:-1] == whole.ids[: len(rows[row]) - 1]  # the last one is [SEP] where it is cut
        assert rows.seconds[row] == whole.sequence_ids.index(1)
        positions = rows.positions[rows.targets[row] : rows.targets[row + 1]].tolist()
        assert positions[0] == 0
        for position, word in zip(positions[1:], range(begin, end), strict=True):
            first, last = whole.offsets[position]
            assert first <= borders[word][0] - start < last, (text[start:], word)


def test_an_answer_of_half_a_window_stands_whole_in_one() -> None:
    text = " ".join(["ada"] * 50)
    tokenizer, borders = wordpiece(), words(text)
    half = windows(rows_of(tokenizer, text, (0, 3)))[0][1] // 2
    for first in range(50 - half):
        rows = rows_of(tokenizer, text, (borders[first][0], borders[first + half - 1][1]))
        assert any(labels[0] == 0 for *_, labels in windows(rows)), first


def test_an_answer_inside_a_word_is_the_word(tokenizer: Tokenizer) -> None:
    text = "the tower of 1833s"
    (_, _, labels), *_ = windows(rows_of(tokenizer, text, (text.index("1833"), text.index("1833") + 4)))
    assert labels.tolist() == [0, 0, 0, 0, STARTS + ENDS]


def test_texts_keep_their_order_and_say_which_windows_are_theirs(tokenizer: Tokenizer) -> None:
    texts, questions = ["ada " * 40, "babbage", "engine " * 30], [QUESTION, "who?", "who met ?"]
    answers = [AnswerPlace(id_, 0, 3) for id_ in "abc"]
    rows = encode_questions(tokenizer, texts, answers, 32, questions)
    assert rows.owners.tolist() == sorted(rows.owners.tolist()) and {*rows.owners.tolist()} == {0, 1, 2}
    alone = [
        encode_questions(tokenizer, [text], [answer], 32, [question])
        for text, answer, question in zip(texts, answers, questions, strict=True)
    ]
    assert [row.tolist() for row in rows] == [row.tolist() for one in alone for row in one]
    assert rows.labels.tolist() == [label for one in alone for label in one.labels.tolist()]
    assert len(encode_questions(tokenizer, [], [], 32)) == 0


@settings(max_examples=40, derandomize=True, database=None, deadline=None)
@given(TEXTS)
def test_teacher_and_student_have_the_same_windows_and_targets(text: str) -> None:
    if not words(text):
        return
    teacher = wordpiece()
    # one that spells nearly everything: a text takes more of its tokens
    student = cut_vocabulary(teacher, SPECIAL_TOKENS, np.zeros(teacher.get_vocab_size()), least_vocabulary(teacher))[0]
    own, its = (
        encode_questions(one, [text], [AnswerPlace("a", 0, 3)], 40, [QUESTION], beside=other)
        for one, other in ((teacher, student), (student, teacher))
    )
    for name in ("owners", "targets", "labels"):
        np.testing.assert_array_equal(getattr(own, name), getattr(its, name))
    assert with_same_targets(own, its)[0].targets.tolist() == own.targets.tolist()
    assert {word for begin, end, _ in windows(its) for word in range(begin, end)} == {*range(len(words(text)))}


def least_vocabulary(tokenizer: Tokenizer) -> int:
    kept = [piece for piece in tokenizer.get_vocab() if len(piece.removeprefix("##")) == 1]
    return len({*kept, *SPECIAL_TOKENS.values()})


def test_a_question_without_room_for_the_text_is_named(tokenizer: Tokenizer) -> None:
    tokens = len(tokenizer.encode(QUESTION, add_special_tokens=False).ids)
    least = tokens + MIN_ROOM + tokenizer.num_special_tokens_to_add(True)
    encode_questions(tokenizer, ["ada"], [AnswerPlace("r7", 0, 3)], least, [QUESTION])
    with pytest.raises(InputError, match=f"row r7: its question has {tokens} tokens and leaves no room") as raised:
        encode_questions(tokenizer, ["ada"], [AnswerPlace("r7", 0, 3)], least - 1, [QUESTION])
    assert "\n" not in str(raised.value)
