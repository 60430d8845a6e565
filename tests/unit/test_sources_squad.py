"""Questions become rows with the place of their answer, and every part of a file that does not fit is named."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import InputError
from pipeline.params import ColumnsParams
from pipeline.sources.squad import read_squad
from pipeline.sources.tagged import Span
from pipeline.sources.well_formed import MAX_BYTES, MAX_CHARACTERS

COLUMNS = ColumnsParams(text="context", pair="question", spans="answers", group="title")
PATH = Path("questions.json")


def question(text: str, answer: str, start: int) -> dict[str, Any]:
    return {"id": text, "question": text, "answers": [{"text": answer, "answer_start": start}]}


def whole() -> dict[str, Any]:
    """Return two articles, of three questions and of one that has no answer."""
    rome = {"context": "Rome 😀 was not built in a day.", "qas": [question("How long?", "a day", 24)]}
    rome["qas"].append(question("What?", "Rome", 0) | {"is_impossible": False})
    rome["qas"][1]["answers"].append({"text": "not at all", "answer_start": 99})
    film = {"context": "电影很好看", "qas": [question("怎么样?", "很好看", 2)]}
    never = {"question": "Why?", "is_impossible": True, "answers": [], "plausible_answers": [{"text": "x"}]}
    other = {"title": "Other", "paragraphs": [{"context": "Nothing.", "qas": [never]}]}
    return {"version": "v2.0", "data": [{"title": "Places", "paragraphs": [rome, film]}, other]}


def read(value: object, columns: ColumnsParams = COLUMNS) -> dict[str, list[Any]]:
    return read_squad(PATH, json.dumps(value), columns)


def test_a_question_is_a_row_with_the_place_of_its_first_answer() -> None:
    found = read(whole())
    assert found["question"] == ["How long?", "What?", "怎么样?", "Why?"]
    assert found["title"] == ["Places"] * 3 + ["Other"]
    assert found["answers"] == [[Span(24, 29, "answer")], [Span(0, 4, "answer")], [Span(2, 5, "answer")], []]
    answered = list(zip(found["context"], found["answers"], strict=True))[:3]
    assert [context[span.start : span.end] for context, (span,) in answered] == ["a day", "Rome", "很好看"]


def test_a_column_that_the_format_does_not_have_is_named() -> None:
    with pytest.raises(InputError, match=r"column 'text' .* is missing, found the columns \['context', 'question'"):
        read(whole(), ColumnsParams(text="text"))


def put(*keys: Any, value: Any = None) -> Callable[[dict[str, Any]], None]:
    """Return what puts a value at a place, or takes away what is there."""

    def change(item: Any) -> None:
        for key in keys[:-1]:
            item = item[key]
        if value is None:
            del item[keys[-1]]
        else:
            item[keys[-1]] = value

    return change


FIRST = ("data", 0, "paragraphs", 0, "qas", 0)
PLACE = "questions.json: article 1, paragraph 1, question 1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("data"), "questions.json: no 'data', expected a list"),
        (put("data", value={}), "questions.json: 'data': an object, expected a list"),
        (put("data", 1, value=7), "questions.json: article 2: a whole number, expected an object"),
        (put("data", 1, "title"), "questions.json: article 2: no 'title', expected text"),
        (put("data", 1, "paragraphs", value="x"), "questions.json: article 2: 'paragraphs': text, expected a list"),
        (
            put("data", 0, "paragraphs", 1, "context"),
            "questions.json: article 1, paragraph 2: no 'context', expected text",
        ),
        (put("data", 0, "paragraphs", 1, "qas"), "questions.json: article 1, paragraph 2: no 'qas', expected a list"),
        (put(*FIRST, "question", value=[]), f"{PLACE}: 'question': a list, expected text"),
        (
            put(*FIRST, "question", value="\ud800"),
            f"{PLACE}: 'question' holds half of a surrogate pair, expected Unicode",
        ),
        (put(*FIRST, "answers"), f"{PLACE}: no 'answers', expected a list"),
        (put(*FIRST, "answers", value=[]), f"{PLACE}: no answer, expected one, or is_impossible: true"),
        (put(*FIRST, "is_impossible", value="no"), f"{PLACE}: 'is_impossible': text, expected true or false"),
        (put(*FIRST, "answers", 0, "text", value=" "), f"{PLACE}: answer ' ', expected some text of the context"),
        (
            put(*FIRST, "answers", 0, "answer_start", value=True),
            f"{PLACE}: 'answer_start': true or false, expected a whole number",
        ),
        (
            put(*FIRST, "answers", 0, "answer_start", value=23),
            f"{PLACE}: answer 'a day', expected it at character 23 of its context, found ' a da'",
        ),
        (put(*FIRST, "answers", 0, "answer_start", value=-6), f"{PLACE}: answer 'a day', expected it at character -6"),
        (put(*FIRST, "answers", 0, "answer_start", value=10**30), f"{PLACE}: answer 'a day', expected it at"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(change: Callable[[dict[str, Any]], None], message: str) -> None:
    value = copy.deepcopy(whole())
    change(value)
    with pytest.raises(InputError) as error:
        read(value)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": [', "questions.json: not JSON (Expecting value at character 10)"),
        ('{"data":\n [}', "questions.json: not JSON (Expecting value on line 2)"),
        ("[" * 200_000, "questions.json: brackets nested too deep"),
        ("[1]", "questions.json: a list, expected an object"),
        ("null", "questions.json: null, expected an object"),
    ],
)
def test_what_is_no_json_object_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_squad(PATH, text, COLUMNS)
    assert str(error.value).startswith(message)


def test_a_passage_that_many_questions_multiply_is_refused() -> None:
    asked = question("Which?", "x", 0)
    paragraph = {"context": "x" * MAX_CHARACTERS, "qas": [asked] * (MAX_BYTES // MAX_CHARACTERS + 1)}
    with pytest.raises(InputError, match=rf"characters of context in all rows, expected at most {MAX_BYTES:,}"):
        read({"data": [{"title": "Bomb", "paragraphs": [paragraph]}]})
