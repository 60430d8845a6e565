"""What the rows of a source file must be: of the shape that its format promises, and within stated limits.

Parsers guess where a file is broken and go on; a guess silently loses rows. So every mistake is found here first and
named by its line or row. Rows are counted from 1 and do not count the header.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.files import InputError
from pipeline.params import ColumnsParams
from pipeline.params.sources import MORE_FIELDS
from pipeline.sources.blocks import Block, in_blocks
from pipeline.sources.json_values import check_unicode, parse

if TYPE_CHECKING:
    import _csv

# Limits of a source file, stated in docs/trust.md. Nothing that is text comes near them, and what keeps them is read
# within some ten times MAX_BYTES of memory.
MAX_BYTES = 512 * 2**20  # of a file, or of what a gzipped one or the text columns of a Parquet file expand to
MAX_LINES = 10_000_000  # or rows
MAX_CHARACTERS = 1_000_000  # of a cell, or of a line of JSON
MAX_COLUMNS = 1_000  # or different keys of a JSON lines file, those of objects inside objects counted
MAX_DEPTH = 32  # of objects and lists inside each other in a line of JSON


def check_limit(path: Path, found: int, what: str, most: int) -> None:
    """Raise InputError where there is more of something in a file than a stated limit."""
    if found > most:
        raise InputError(f"{path}: {found:,} {what}, expected at most {most:,}")


def check_columns(name: str | Path, found: list[str], columns: ColumnsParams) -> None:
    """Raise InputError where a column that params.yaml names is missing or stands twice."""
    for key, column in columns.named:
        if found.count(column) != 1:
            problem = "missing" if column not in found else "given more than once"
            raise InputError(f"{name}: column {column!r} (columns.{key}) is {problem}, found the columns {found}")


def read_delimited(
    path: Path, file: Iterable[str], columns: ColumnsParams, delimiter: str, header: list[str] | None = None
) -> Iterator[Block]:
    """Yield the named columns of a CSV or TSV file; raise InputError where a row's quotes or fields are wrong.

    `file` is opened with line ends as they are. `header` names the columns of a file that has no line for it, `...` at
    its end any number of further ones. CSV quotes as RFC 4180 says; in TSV a quote is a character like any other, as
    text/tab-separated-values says. What was checked is what is returned: another parser may see other fields, pandas'
    after a lone carriage return.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    previous_limit = csv.field_size_limit(MAX_CHARACTERS)
    try:
        rows = _rows_with_lines(path, csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True))
        further = header is not None and header[-1] == MORE_FIELDS
        header = (header[:-1] if further else header) if header else next(rows, (1, []))[1]
        check_limit(path, len(header), "columns", MAX_COLUMNS)
        check_columns(path, header, columns)
        names = distinct_names(columns)
        places = [header.index(name) for name in names]
        fields = _checked_fields(path, rows, len(header), further=further)
        yield from in_blocks(names, ([row[place] for place in places] for row in fields))
    finally:
        csv.field_size_limit(previous_limit)


def distinct_names(columns: ColumnsParams) -> list[str]:
    """Return the columns that the parameters name, each once."""
    return list(dict.fromkeys(name for _, name in columns.named))


def _rows_with_lines(path: Path, rows: "_csv.Reader") -> Iterator[tuple[int, list[str]]]:
    while True:
        line = rows.line_num + 1
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if "limit" in str(error):
                reason = f"a field of more than {MAX_CHARACTERS:,} characters (or a quote that is never closed)"
            else:
                reason = f"broken quote or line ending ({error})"
            raise InputError(f"{path}: row that starts on line {line}: {reason}") from None
        if len(fields) > 1 or (fields and fields[0].strip()):  # a blank line is no row
            yield line, fields


def _checked_fields(
    path: Path, rows: Iterator[tuple[int, list[str]]], expected: int, *, further: bool
) -> Iterator[list[str]]:
    """Yield the fields of each row, which are `expected` ones and, where there may be `further` ones, more."""
    count = 0
    for line, fields in rows:
        count += 1
        if len(fields) < expected or (len(fields) > expected and not further):
            what = f"{'at least ' if further else ''}{expected}, as in the header"
            raise InputError(f"{path}: row {count} (line {line}) has {len(fields)} fields, expected {what}")
        yield fields
    if not count:
        raise InputError(f"{path}: a header and no rows, expected rows")


def read_jsonl(path: Path, file: Iterable[str], columns: ColumnsParams) -> Iterator[Block]:
    """Yield the named columns of a JSON lines file, opened so that a line ends with LF and nothing else.

    Raises InputError where a line is no JSON object with these columns, of few keys, or a column has several types.
    """
    names = distinct_names(columns)
    yield from in_blocks(names, _json_rows(path, file, names, columns))


def _json_rows(path: Path, file: Iterable[str], names: list[str], columns: ColumnsParams) -> Iterator[list[Any]]:
    types: dict[str, type] = {}
    keys: set[tuple[str, ...]] = set()
    row = 0
    for number, line in enumerate(file, start=1):
        line = line.removesuffix("\n")
        if not line.strip():
            continue
        row += 1
        check_length(path, row, line)
        value = _json_object(f"{path}: row {row} (line {number})", line)
        _check_shape(f"{path}: row {row}", value, keys)
        check_columns(f"{path}: row {row}", list(value), columns)
        if columns.labels is not None and isinstance(value[columns.labels], list):
            value[columns.labels] = json.dumps(value[columns.labels])  # as a cell of CSV has it
        cells = [value[name] for name in names]
        for name, cell in zip(names, cells, strict=True):
            _check_type(f"{path}: row {row}: {name!r}", cell, types, name, columns)
        yield cells


def _json_object(place: str, line: str) -> dict[str, Any]:
    value = parse(place, line)
    if not isinstance(value, dict):
        raise InputError(f"{place}: {type(value).__name__}, expected a JSON object")
    return value


def _check_shape(place: str, value: Any, keys: set[tuple[str, ...]]) -> None:
    """Add the paths of the keys of `value` to those of the rows before, which are few where rows are of one kind."""
    inside: list[tuple[Any, tuple[str, ...], int]] = [(value, (), 1)]
    while inside:
        item, path, depth = inside.pop()
        if depth > MAX_DEPTH:
            raise InputError(f"{place}: nested deeper than {MAX_DEPTH} levels, expected text or numbers in columns")
        members = ((key, inner) for key, inner in item.items()) if isinstance(item, dict) else (("", i) for i in item)
        for key, inner in members:
            keys.add((*path, key))
            if isinstance(inner, dict | list):
                inside.append((inner, (*path, key), depth + 1))
        if len(keys) > MAX_COLUMNS:
            raise InputError(f"{place}: more than {MAX_COLUMNS:,} different keys up to here, expected columns")


def _check_type(place: str, value: object, types: dict[str, type], column: str, columns: ColumnsParams) -> None:
    if value is None:
        return
    is_text = column in (columns.text, columns.pair, columns.target)
    allowed = (str,) if is_text else (str, int, float, bool)
    kind = float if column == columns.score and type(value) is int else type(value)
    expected = types.setdefault(column, kind)
    if not isinstance(value, allowed):
        raise InputError(
            f"{place} is {type(value).__name__}, expected {' or '.join(kind.__name__ for kind in allowed)}"
        )
    if kind is not expected:
        raise InputError(f"{place} is {type(value).__name__}, expected {expected.__name__}, as in the rows before")
    if isinstance(value, str):
        check_unicode(place, value)


def check_length(name: str | Path, row: int, text: str) -> None:
    """Raise InputError for a row longer than MAX_CHARACTERS: that is a broken file, not a text."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{name}: row {row} has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
