"""Passages for questions: the words that both have, and how often the right one is among the best."""

import numpy as np
import pytest

from pipeline.evaluation.retrieval import best_passages, found_among, nearest_passages, recall

PASSAGES = ["The tower is in Paris.", "Ada met Babbage.", "Babbage built the engine, the engine of 1833."]


def test_the_passage_with_the_rarer_words_of_the_question_comes_first() -> None:
    best = best_passages(PASSAGES, ["Where is the tower?", "Which engine did Babbage build?", "Whom did ADA meet?"], 2)
    assert best.shape == (3, 2)
    assert best[:, 0].tolist() == [0, 2, 1] and best[1, 1] == 1


def test_of_equal_passages_the_earlier_comes_first_and_there_may_be_fewer_than_asked_for() -> None:
    assert best_passages(PASSAGES, ["zzz", "?"], 5).tolist() == [[0, 1, 2]] * 2
    assert best_passages(["?", "the"], ["who?"], 1).tolist() == [[0]]


def test_characters_of_scripts_without_spaces_are_words() -> None:
    assert best_passages(["东京在日本。", "北京在中国。"], ["中国的首都？"], 1).tolist() == [[1]]


def test_recall_is_the_share_of_questions_whose_passage_is_found() -> None:
    best = np.array([[0, 1, 2], [2, 0, 1], [1, 2, 0], [1, 0, 2]])
    right = [0, 1, 2, 2]
    assert recall(best, right, 1) == 0.25
    assert recall(best, right, 2) == 0.5
    assert recall(best, right, 3) == pytest.approx(1.0)


def test_the_nearest_passages_are_those_of_the_largest_cosine_whatever_their_length() -> None:
    passages = np.array([[0.0, 9.0], [1.0, 0.2], [0.0, 0.0], [-1.0, 0.0]], np.float32)
    best = nearest_passages(passages, np.array([[5.0, 0.0], [0.1, 2.0]], np.float32), 3)
    assert best.tolist() == [[1, 0, 2], [0, 1, 2]]
    assert found_among(best, [1, 1]) == {"recall_at_1": 0.5, "recall_at_5": 1.0}
