"""Rows of tokens that carry tags: one token and its tag a line, an empty line between rows (CoNLL)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.files import InputError
from pipeline.params import ColumnsParams
from pipeline.sources.lines import numbered_lines
from pipeline.sources.well_formed import MAX_CHARACTERS, check_columns

OUTSIDE = "O"


class Span(NamedTuple):
    """A labelled piece of a text, `text[start:end]`."""

    start: int
    end: int
    label: str


def read_tagged(path: Path, text: str, columns: ColumnsParams, *, labelled: bool) -> dict[str, list[Any]]:
    """Return the columns `text`, a row's tokens joined by single spaces, and `spans`, what their BIO tags mark.

    Where rows are `labelled`, each ends with a line that holds its label alone, column `label`. Raises InputError that
    names the line where a token or tag is missing, or a tag is none of the scheme: O, B-TYPE, and I-TYPE after a token
    of the same type (IOB2; Tjong Kim Sang & Veenstra 1999, "Representing Text Chunks").
    """
    found: dict[str, list[Any]] = {"text": [], "spans": [], **({"label": []} if labelled else {})}
    check_columns(path, list(found), columns)
    for block in _blocks(path, text):
        if labelled:
            found["label"].append(_label(path, block))
        row, spans = _read_row(path, block)
        found["text"].append(row)
        found["spans"].append(spans)
    return found


def _blocks(path: Path, text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of each row with their numbers, without space at their ends."""
    block: list[tuple[int, str]] = []
    characters = 0
    for number, line in numbered_lines(text):
        line = line.rstrip()
        if line:
            block.append((number, line))
            characters += len(line)
            if characters > MAX_CHARACTERS:
                start = block[0][0]
                raise InputError(f"{path}: row that starts on line {start}: more than {MAX_CHARACTERS:,} characters")
        elif block:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _label(path: Path, block: list[tuple[int, str]]) -> str:
    """Take the last line off a row and return it."""
    number, label = block.pop()
    if not block or len(label.split()) > 1:
        expected = "expected tokens with their tags and then, on a line of its own, the row's label"
        raise InputError(f"{path}: line {number}: {label!r} ends a row, {expected}")
    return label


def _read_row(path: Path, block: list[tuple[int, str]]) -> tuple[str, list[Span]]:
    tokens: list[str] = []
    spans: list[Span] = []
    open_label = None  # of the span that the token before belongs to
    start = 0
    for number, line in block:
        token, label, begins = _read_line(f"{path}: line {number}", line, open_label)
        end = start + len(token)
        if label is not None:
            if begins:
                spans.append(Span(start, end, label))
            else:
                spans[-1] = spans[-1]._replace(end=end)
        tokens.append(token)
        open_label, start = label, end + 1
    return " ".join(tokens), spans


def _read_line(place: str, line: str, open_label: str | None) -> tuple[str, str | None, bool]:
    """Return the token, the label of the span that it belongs to, and whether the span begins with it."""
    fields = line.split("\t") if "\t" in line else line.split(" ")
    if len(fields) != 2 or not all(fields):
        raise InputError(f"{place}: {line!r}, expected a token and its tag with a tab or one space between them")
    token, tag = fields
    if tag == OUTSIDE:
        return token, None, False
    part, _, label = tag.partition("-")
    if part not in ("B", "I") or not label:
        raise InputError(f"{place}: tag {tag!r}, expected O, B-TYPE or I-TYPE")
    if part == "I" and label != open_label:
        raise InputError(f"{place}: tag {tag!r} after no token of this type, expected B-{label} where a span begins")
    return token, label, part == "B"
