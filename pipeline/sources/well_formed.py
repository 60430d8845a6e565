"""What a source file must be before it is parsed: whole, UTF-8, and of the shape its format promises.

Parsers guess where a file is broken and go on; a guess silently loses rows. So every mistake is found here first and
named by its line or row. Rows are counted from 1 and do not count the header.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.files import InputError
from pipeline.params import ColumnsParams

if TYPE_CHECKING:
    import _csv

MAX_CHARACTERS = 1_000_000


def check_text(path: Path) -> str:
    """Return the file's text; raise InputError where it is empty, not UTF-8, or holds a NUL byte."""
    data = path.read_bytes()
    if not data.strip():
        raise InputError(f"{path}: empty file, expected rows")
    nul = data.find(b"\0")
    if nul >= 0:
        raise InputError(f"{path}: line {_line(data, nul)}: NUL byte at offset {nul}, expected UTF-8 text")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        # once more with the byte order mark, so that the offset is the file's
        offset = _first_undecodable(data)
        raise InputError(
            f"{path}: line {_line(data, offset)}: byte 0x{data[offset]:02x} at offset {offset} is not UTF-8"
        ) from None


def _first_undecodable(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def check_columns(name: str | Path, found: list[str], columns: ColumnsParams) -> None:
    """Raise InputError where a column that params.yaml names is missing or stands twice."""
    for key, column in columns.model_dump().items():
        if column is not None and found.count(column) != 1:
            problem = "missing" if column not in found else "given more than once"
            raise InputError(f"{name}: column {column!r} (columns.{key}) is {problem}, found the columns {found}")


def check_delimited(path: Path, text: str, columns: ColumnsParams, delimiter: str) -> list[str]:
    """Return the header of a CSV or TSV file after checking every row's quotes and number of fields.

    CSV quotes as RFC 4180 says; in TSV a quote is a character like any other, as text/tab-separated-values says.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    previous_limit = csv.field_size_limit(MAX_CHARACTERS)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
        return _checked_header(path, _rows_with_lines(path, rows), columns)
    finally:
        csv.field_size_limit(previous_limit)


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
        if len(fields) > 1 or (fields and fields[0].strip()):  # the parser skips blank lines too
            yield line, fields


def _checked_header(path: Path, rows: Iterator[tuple[int, list[str]]], columns: ColumnsParams) -> list[str]:
    header = next(rows)[1]
    check_columns(path, header, columns)
    count = 0
    for line, fields in rows:
        count += 1
        if len(fields) != len(header):
            raise InputError(
                f"{path}: row {count} (line {line}) has {len(fields)} fields, expected {len(header)}, as in the header"
            )
    if not count:
        raise InputError(f"{path}: a header and no rows, expected rows")
    return header


def check_jsonl(path: Path, text: str, columns: ColumnsParams) -> None:
    """Check that each line is a JSON object with the named columns, and that a column keeps one type."""
    types: dict[str, type] = {}
    row = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row += 1
        check_length(path, row, line)
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: row {row} (line {number}): not JSON ({error.msg})") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}: row {row} (line {number}): {type(value).__name__}, expected a JSON object")
        check_columns(f"{path}: row {row}", list(value), columns)
        for column in filter(None, columns.model_dump().values()):
            _check_type(f"{path}: row {row}: {column!r}", value[column], types, column, column == columns.text)


def _check_type(place: str, value: object, types: dict[str, type], column: str, is_text: bool) -> None:
    if value is None:
        return
    allowed = (str,) if is_text else (str, int, float, bool)
    expected = types.setdefault(column, type(value))
    if not isinstance(value, allowed):
        raise InputError(
            f"{place} is {type(value).__name__}, expected {' or '.join(kind.__name__ for kind in allowed)}"
        )
    if type(value) is not expected:
        raise InputError(f"{place} is {type(value).__name__}, expected {expected.__name__}, as in the rows before")


def check_lines(path: Path, text: str, columns: ColumnsParams) -> None:
    """Check plain text, one row a line: its only column is called `text`."""
    check_columns(path, ["text"], columns)
    for row, line in enumerate(text.split("\n"), start=1):
        check_length(path, row, line)


def check_length(name: str | Path, row: int, text: str) -> None:
    """Raise InputError for a row longer than MAX_CHARACTERS: that is a broken file, not a text."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{name}: row {row} has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
