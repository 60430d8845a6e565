"""Words that mattered: which rows are asked, and what the difference of two answers is worth, worked out by hand."""

from typing import Any

import pytest

from pipeline.serving.explanation import rows_without, weight


def test_each_word_is_left_out_once_where_something_is_left() -> None:
    borders, rows = rows_without({"text": "It's 东京!", "pair": "where?"}, most=10)
    assert borders == [(0, 2), (2, 3), (3, 4), (5, 6), (6, 7), (7, 8)]
    assert [row["text"] for row in rows] == ["'s 东京!", "Its 东京!", "It' 东京!", "It's 京!", "It's 东!", "It's 东京"]
    assert {row["pair"] for row in rows} == {"where?"}
    assert rows_without({"text": "one two three"}, most=2)[0] == [(0, 3), (4, 7)]
    assert rows_without({"text": " york "}, most=10) == ([], [])


LABELS = {"label": "positive", "score": 0.75}
PLACES = {"answer": "Ada", "start": 0, "end": 3, "score": 0.5}


@pytest.mark.parametrize(
    ("answer", "without", "expected"),
    [
        (LABELS, {"label": "positive", "score": 0.5}, 0.25),
        (LABELS, {"label": "positive", "score": 1.0}, -0.25),
        (LABELS, {"label": "negative", "score": 0.75}, 0.5),  # of two labels the other one has the rest
        (LABELS, {"label": "neutral", "score": 0.375}, 0.375),  # of three it is at most the likeliest's
        ({"label": None, "score": 0.625, "likeliest": "no"}, {"label": None, "score": 0.75, "likeliest": "yes"}, 0.375),
        (PLACES, PLACES | {"start": 9, "end": 12, "score": 0.25}, 0.25),
        (PLACES, {"answer": "Bob", "start": 0, "end": 3, "score": 0.875}, 0.375),
        ({"similarity": 0.5}, {"similarity": -0.25}, 0.75),
        ({"spans": []}, {"spans": []}, None),
        ({"translation": "ja"}, {"translation": "nein"}, None),
    ],
)
def test_a_weight_is_what_the_answer_loses(answer: dict[str, Any], without: dict[str, Any], expected: Any) -> None:
    assert weight(answer, without) == expected
