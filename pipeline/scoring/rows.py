"""Rows to be scored, one after another, from files that may be damaged: a bad row comes back with what is wrong.

Where `ingest` refuses a file for one bad row, this goes on: what is scored day after day is other people's, and a
night's run should not end at row 900,000. Nothing is held but the row at hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.files import InputError


class Row(NamedTuple):
    """A row of the input.

    number: its place among the rows, from 1; a header and blank lines are none. end: how much of the file has been read
    with it. texts: what the model reads of it, by the model's own names. kept: what of it goes into the output, as the
    format that reads it also writes it. found: the row as it stands in the file. reason: why it cannot be scored, else
    empty.
    """

    number: int
    end: int
    texts: dict[str, str]
    kept: Any
    found: str
    reason: str = ""


@dataclass(frozen=True)
class Columns:
    """Which columns matter. texts: those of the input that the model reads, by its own names for them.

    key: those of the input that the output keeps; empty: all. answers: those that the output adds, with MLflow's types.
    """

    texts: Mapping[str, str]
    key: Sequence[str]
    answers: Mapping[str, Any]

    def kept_of(self, place: str | Path, header: Sequence[str]) -> list[str]:
        """Return those of the columns in `header` that the output keeps.

        Raises InputError, beginning with `place`, where one that is named is missing or doubled, or one that is kept
        has the name of an answer.
        """
        for name in dict.fromkeys([*self.texts.values(), *self.key]):
            if list(header).count(name) != 1:
                problem = "missing" if name not in header else "given more than once"
                raise InputError(f"{place}: column {name!r} is {problem}, found the columns {list(header)}")
        kept = list(self.key or header)
        if taken := [name for name in kept if name in self.answers]:
            raise InputError(f"{place}: column {taken[0]!r} is one that the output adds; --key chooses what it keeps")
        return kept


def texts_of(values: Mapping[str, Any], columns: Columns) -> tuple[dict[str, str], str]:
    """Return what the model reads of a row, and an empty reason; or no texts, and why the row cannot be read.

    What else a text may not be, the model says itself.
    """
    texts = {}
    for name, column in columns.texts.items():
        value = values.get(column)
        if value is None:
            return {}, f"no {column}"
        if not isinstance(value, str):
            return {}, f"{column} is {type(value).__name__}, expected text"
        if not value.strip():
            return {}, f"{column} is blank, expected words"
        texts[name] = value
    return texts, ""
