"""A conversation is a row with a line for each turn, and a file of another shape is named by its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import InputError
from pipeline.params import ColumnsParams
from pipeline.sources.conversations import read_conversations

COLUMNS = ColumnsParams(text="text")
PATH = Path("talk.json")


def said(sender: str, *texts: str) -> list[dict[str, str]]:
    return [{"sender": sender, "text": text, "timestamp": "2018-05-02T19:38:15Z"} for text in texts]


def read(value: object) -> list[str]:
    return read_conversations(PATH, json.dumps(value), COLUMNS)["text"]


def test_the_messages_of_a_turn_are_one_line() -> None:
    first = [said("a", "Hello", " how are\nyou? "), said("b", "fine"), said("b", "thanks", " "), said("a", "\u2028")]
    second = [said("a", "Hi") + said("b", "Hi 😀") + said("a", "Bye")]
    found = read({"x": {"messages": first, "ratings": {"witty": 1}}, "y": {"messages": second}, "z": {"messages": []}})
    assert found == ["Hello how are you?\nfine thanks", "Hi\nHi 😀\nBye", ""]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "talk.json: a list, expected an object"),
        ({"x": []}, "talk.json: conversation 1 (x): a list, expected an object"),
        ({"x": {}}, "talk.json: conversation 1 (x): no 'messages', expected a list"),
        ({"x": {"messages": "hi"}}, "talk.json: conversation 1 (x): 'messages': text, expected a list"),
        (
            {"x": {"messages": []}, "y": {"messages": [[], {}]}},
            "talk.json: conversation 2 (y), group 2 of its messages: an object, expected a list",
        ),
        (
            {"x": {"messages": [["hi"]]}},
            "talk.json: conversation 1 (x), group 1 of its messages: text, expected an object",
        ),
        (
            {"x": {"messages": [[{"text": "hi"}]]}},
            "talk.json: conversation 1 (x), group 1 of its messages: no 'sender', expected text",
        ),
        (
            {"x": {"messages": [[{"text": None, "sender": "a"}]]}},
            "talk.json: conversation 1 (x), group 1 of its messages: 'text': null, expected text",
        ),
        (
            {"x": {"messages": [said("a", "\udc00")]}},
            "talk.json: conversation 1 (x), group 1 of its messages: 'text' holds half of a surrogate pair",
        ),
    ],
)
def test_another_shape_is_named_by_its_place(value: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(value)
    assert str(error.value).startswith(message)


def test_a_column_that_the_format_does_not_have_is_named() -> None:
    with pytest.raises(InputError, match=r"talk.json: column 'messages' .* is missing, found the columns \['text'\]"):
        read_conversations(PATH, "{}", ColumnsParams(text="messages"))
