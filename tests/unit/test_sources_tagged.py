"""Tokens with BIO tags become text and spans, and every line that does not fit is named."""

from pathlib import Path

import pytest

from pipeline.files import InputError
from pipeline.params import ColumnsParams
from pipeline.sources.tagged import Span, read_tagged
from pipeline.sources.well_formed import MAX_CHARACTERS

SPANS = ColumnsParams(text="text", label=None, source=None, spans="spans")
LABELS = ColumnsParams(text="text", label="label", source=None, spans=None)
PATH = Path("rows.txt")


def test_tokens_are_joined_and_tags_become_spans() -> None:
    text = "Ann\tB-person\nLee\tI-person\nsaw\tO\nRome\tB-place\nOslo\tB-place\n\t\n\r\n电影\tO\r\n好\tB-place\n"
    found = read_tagged(PATH, text, SPANS, labelled=False)
    assert found["text"] == ["Ann Lee saw Rome Oslo", "电影 好"]
    assert found["spans"] == [
        [Span(0, 7, "person"), Span(12, 16, "place"), Span(17, 21, "place")],
        [Span(3, 4, "place")],
    ]
    assert [found["text"][0][start:end] for start, end, _ in found["spans"][0]] == ["Ann Lee", "Rome", "Oslo"]


def test_a_space_or_a_tab_parts_token_and_tag() -> None:
    found = read_tagged(PATH, "New York\tB-place\n\nNew B-place\nYork I-place", SPANS, labelled=False)
    assert found["text"] == ["New York", "New York"]
    assert found["spans"] == [[Span(0, 8, "place")]] * 2


def test_a_row_may_end_with_its_label() -> None:
    text = "play O\nAbba B-artist\nPlayMusic\n\n\nrain O\nGetWeather \n"
    found = read_tagged(PATH, text, LABELS, labelled=True)
    assert found == {
        "text": ["play Abba", "rain"],
        "label": ["PlayMusic", "GetWeather"],
        "spans": [[Span(5, 9, "artist")], []],
    }


@pytest.mark.parametrize(
    ("text", "labelled", "message"),
    [
        ("a O\nb X-thing\n", False, "rows.txt: line 2: tag 'X-thing', expected O, B-TYPE or I-TYPE"),
        ("a O\nb B-\n", False, "line 2: tag 'B-', expected O, B-TYPE or I-TYPE"),
        ("a O\nb thing\n", False, "line 2: tag 'thing', expected O, B-TYPE or I-TYPE"),
        ("a O\nb I-thing\n", False, "line 2: tag 'I-thing' after no token of this type, expected B-thing"),
        ("a B-thing\n\nb I-thing\n", False, "line 3: tag 'I-thing' after no token of this type"),
        ("a B-thing\nb I-other\n", False, "line 2: tag 'I-other' after no token of this type"),
        ("a B-thing\nb O\nc I-thing\n", False, "line 3: tag 'I-thing' after no token of this type"),
        ("a O\n\nb\n", False, "line 3: 'b', expected a token and its tag with a tab or one space between them"),
        ("EU NNP B-NP B-ORG\n", False, "line 1: 'EU NNP B-NP B-ORG', expected a token and its tag"),
        ("a  O\n", False, "line 1: 'a  O', expected a token and its tag"),
        ("\tO\n", False, r"line 1: '\\tO', expected a token and its tag"),
        ("a O\nLabel\nb O\nLabel\n", True, "line 2: 'Label', expected a token and its tag"),
        ("a O\nb O\n", True, "line 2: 'b O' ends a row, expected tokens with their tags and then"),
        ("Label\n\na O\nLabel\n", True, "line 1: 'Label' ends a row, expected tokens"),
        ("a O\n" * (MAX_CHARACTERS // 3 + 1), False, "row that starts on line 1: more than 1,000,000 characters"),
    ],
)
def test_a_line_that_does_not_fit_is_named(text: str, labelled: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_tagged(PATH, text, SPANS, labelled=labelled)


def test_columns_are_those_that_the_format_has() -> None:
    with pytest.raises(InputError, match=r"column 'label' .* is missing, found the columns \['text', 'spans'\]"):
        read_tagged(PATH, "a O\n", LABELS, labelled=False)
