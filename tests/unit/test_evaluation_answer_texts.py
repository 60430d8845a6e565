"""Answers as texts: SQuAD's exact match and F1 worked out by hand; baselines that find them."""

import numpy as np
import pytest

from pipeline.evaluation.answer_texts import normalized
from pipeline.evaluation.figures import FIGURES, score
from pipeline.evaluation.readers import frozen_encoder_reader, most_similar_sentence
from pipeline.words import ENDS, STARTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel Tower.", ["eiffel", "tower"]),
        ("a U.S.-based don't", ["usbased", "dont"]),  # punctuation goes before words are told apart
        ("An apple, the theatre", ["apple", "theatre"]),
        ("$5.2 (million)", ["52", "million"]),
        ("东京, 2020年。", ["东", "京", "2020", "年"]),
        ("“Café”", ["café"]),
        ("the", []),
    ],
)
def test_words_are_compared_without_case_punctuation_and_articles(text: str, expected: list[str]) -> None:
    assert normalized(text) == expected


@pytest.mark.parametrize(
    ("actual", "answer", "exact", "f1"),
    [
        ("the Denver Broncos", "Denver Broncos!", 1, 1.0),
        ("Denver Broncos", "the Broncos", 0, 2 / 3),  # one word of one is right, one of two is found
        ("two two one", "two", 0, 1 / 2),
        ("two two one", "two two two", 0, 2 / 3),
        ("in 1833", "Babbage", 0, 0.0),
        ("1833", "", 0, 0.0),
        ("the", "a", 1, 1.0),
        ("东京塔", "东京", 0, 4 / 5),
    ],
)
def test_exact_match_and_f1_are_the_hand_computed_ones(actual: str, answer: str, exact: int, f1: float) -> None:
    assert score("exact_match", [actual], [answer]) == exact
    assert score("token_f1", [actual], [answer]) == pytest.approx(f1, abs=1e-6)


def test_figures_of_rows_are_their_mean_from_whole_numbers() -> None:
    counts = FIGURES["token_f1"].counts(["a b", "c"], ["b", "d"])
    assert counts.dtype == np.int64 and counts.tolist() == [[1_000_000, 1], [0, 1]]
    assert score("token_f1", ["a b", "c"], ["b", "d"]) == 0.5
    assert score("exact_match", ["x", "y", "z", "z"], ["x", "y", "z", "w"]) == 0.75


def test_the_most_similar_sentence_is_the_one_that_shares_rare_words_with_the_question() -> None:
    text = "Ada met the man in London. The man built an engine. The man lived in the house at 5.5 miles."
    questions = ["Who built the engine?", "Where did the man meet Ada?", "How many miles off was the house?"]
    assert most_similar_sentence([text, "the man in the house"], [text] * 3, questions) == [
        "The man built an engine.",
        "Ada met the man in London.",
        "The man lived in the house at 5.5 miles.",
    ]
    assert most_similar_sentence(["东京在哪里"], ["东京在日本。北京在中国。"], ["北京在哪里？"]) == ["北京在中国。"]
    assert most_similar_sentence(["a"], ["no end"], ["?"]) == ["no end"]


def test_start_and_end_are_read_off_vectors() -> None:
    chance = np.random.default_rng(0)
    labels = np.array([0, STARTS, 0, ENDS, 0, 0, STARTS + ENDS, 0] * 20)
    vectors = chance.normal(size=(len(labels), 5))
    vectors[:, 0] += 4 * (labels & STARTS > 0)
    vectors[:, 1] += 4 * (labels & ENDS > 0)
    seen: list[tuple[int, ...]] = []

    def dev_score(logits: np.ndarray) -> float:
        seen.append(logits.shape)
        return float(len(seen))

    found = frozen_encoder_reader(vectors, labels, vectors[:16], vectors, dev_score)
    assert seen == [(16, 2)] * 3
    for side, mark in enumerate((STARTS, ENDS)):
        assert ((found[:, side] > 0) == (labels & mark > 0)).mean() > 0.9
