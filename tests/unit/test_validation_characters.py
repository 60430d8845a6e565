"""Letters and visible characters, found a character at a time, are what Arrow's expressions find in whole texts."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.validation import characters
from pipeline.validation.characters import letters_and_visible


def of_whole_texts(texts: list[str]) -> tuple[list[str], list[int]]:
    """The plain way: each expression over each text."""
    given_texts = pa.array(texts, pa.string())
    letters = pc.replace_substring_regex(pc.utf8_lower(given_texts), r"\P{L}+", "")
    visible = pc.utf8_length(pc.replace_substring_regex(given_texts, r"[\s\p{Z}\p{M}]+", ""))
    return letters.to_pylist(), visible.to_pylist()


def found_in(texts: list[str]) -> tuple[list[str], list[int]]:
    letters, visible = letters_and_visible(texts)
    return letters, visible.tolist()


def test_hand_counted() -> None:
    assert found_in(["  So good 10!\n", "", "नमस्ते", "ÉTÉ"]) == (["sogood", "", "नमसत", "été"], [9, 0, 4, 3])
    assert found_in([]) == ([], [])


@pytest.mark.parametrize("plane", range(17))
def test_every_character_is_what_the_expressions_say(plane: int) -> None:
    codes = range(plane << 16, (plane + 1) << 16)
    texts = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    assert found_in(texts) == of_whole_texts(texts)


@given(st.lists(st.text(max_size=20), max_size=8))
def test_texts_are_what_the_expressions_say(texts: list[str]) -> None:
    assert found_in(texts) == of_whole_texts(texts)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one two", "", "three, four and five", "很好看"] * 5
    whole = found_in(texts)
    monkeypatch.setattr(characters, "_AT_ONCE", 10)
    assert found_in(texts) == whole
