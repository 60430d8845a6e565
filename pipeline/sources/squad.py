"""Questions about passages, and where their answers stand: the JSON of SQuAD, 1.1 and 2.0.

Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text"; 2018, "Know What You Don't Know".
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.files import InputError
from pipeline.params import ColumnsParams
from pipeline.sources.json_values import member, parse
from pipeline.sources.tagged import Span
from pipeline.sources.well_formed import MAX_BYTES, check_columns, check_limit

ANSWER = "answer"


class _Question(NamedTuple):
    place: str
    title: str
    context: str
    value: Any


def read_squad(path: Path, text: str, columns: ColumnsParams) -> dict[str, list[Any]]:
    """Return a row for each question, as the columns `context`, `question`, `answers` and `title`.

    `answers` is the place of the first answer in the context, as a list of one span, empty where the question is
    marked as impossible to answer. Raises InputError that names article, paragraph and question where the file has
    another shape, or where an answer does not stand where the file says.
    """
    found: dict[str, list[Any]] = {"context": [], "question": [], "answers": [], "title": []}
    check_columns(path, list(found), columns)
    characters = 0
    for place, title, context, value in _questions(path, parse(str(path), text)):
        characters += len(context)  # a passage stands once in the file, and in a row for each of its questions
        check_limit(path, characters, "characters of context in all rows", MAX_BYTES)
        found["context"].append(context)
        found["question"].append(member(place, value, "question", str))
        found["answers"].append(_answers(place, value, context))
        found["title"].append(title)
    return found


def _questions(path: Path, whole: Any) -> Iterator[_Question]:
    for i, article in enumerate(member(str(path), whole, "data", list), start=1):
        of_article = f"{path}: article {i}"
        title = member(of_article, article, "title", str)
        for j, paragraph in enumerate(member(of_article, article, "paragraphs", list), start=1):
            of_paragraph = f"{of_article}, paragraph {j}"
            context = member(of_paragraph, paragraph, "context", str)
            for k, question in enumerate(member(of_paragraph, paragraph, "qas", list), start=1):
                yield _Question(f"{of_paragraph}, question {k}", title, context, question)


def _answers(place: str, question: dict[str, Any], context: str) -> list[Span]:
    if "is_impossible" in question and member(place, question, "is_impossible", bool):
        return []
    answers = member(place, question, "answers", list)
    if not answers:
        raise InputError(f"{place}: no answer, expected one, or is_impossible: true")
    text, start = member(place, answers[0], "text", str), member(place, answers[0], "answer_start", int)
    if not text.strip():
        raise InputError(f"{place}: answer {text!r}, expected some text of the context")
    if start < 0 or not context.startswith(text, start):
        there = context[max(start, 0) :][: len(text)]
        raise InputError(f"{place}: answer {text!r}, expected it at character {start} of its context, found {there!r}")
    return [Span(start, start + len(text), ANSWER)]
