"""Lines of a text file, and the rows of CSV, TSV and JSON lines that they make, damaged ones among them."""

import codecs
import csv
import json
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline.files import InputError
from pipeline.scoring.rows import Columns, Row, texts_of
from pipeline.sources.json_values import check_kind, parse
from pipeline.sources.well_formed import MAX_CHARACTERS

LONGEST_LINE = 16 * 2**20  # bytes: a million characters, each spelled \uXXXX\uXXXX in JSON, and other columns


class Line(NamedTuple):
    """A line with its end. text: where its bytes are no UTF-8, they stand there as surrogates. whole: not cut."""

    text: str
    end: int
    whole: bool


class Record(NamedTuple):
    """The fields of a row of a CSV or TSV file and the line or lines that it stands on; or why there are no fields."""

    fields: list[str]
    found: str
    end: int
    reason: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """Yield line after line; of one that is longer than LONGEST_LINE the beginning."""
    end = 0
    with open(path, "rb") as file:
        while data := file.readline(LONGEST_LINE):
            whole = data.endswith(b"\n") or len(data) < LONGEST_LINE
            start, end, rest = end, end + len(data), data
            while not whole and not rest.endswith(b"\n") and (rest := file.readline(LONGEST_LINE)):
                end += len(rest)
            data = data if start else data.removeprefix(codecs.BOM_UTF8)
            yield Line(data.decode("utf-8", "surrogateescape"), end, whole)


def read_json_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Yield the rows of a JSON lines file; what is kept of each is an object, spelled as JSON.

    Raises InputError for a row that has a column of the name of an answer.
    """
    number = 0
    for line in read_lines(path):
        if not line.text.strip():
            continue
        number += 1
        texts, kept = dict[str, str](), ""
        try:
            values = _object(line)
            texts, reason = texts_of(values, columns)
            if lacking := [name for name in columns.key if name not in values]:
                texts, reason = {}, f"no {lacking[0]}"
            kept = json.dumps({name: values[name] for name in columns.key or values}, ensure_ascii=False)
            kept.encode()
        except InputError as error:
            reason = str(error).removeprefix("row: ")
        except UnicodeEncodeError:
            reason = "holds half of a surrogate pair, expected Unicode text"
        except RecursionError:
            reason = "nested too deep"
        if not reason:
            columns.kept_of(f"{path}: row {number}", [*values])
        yield Row(number, line.end, texts, kept, shown(line.text), reason)


def _object(line: Line) -> dict[str, Any]:
    if not line.whole:
        raise InputError(f"row: a line of over {LONGEST_LINE:,} bytes")
    if reason := _damage(line.text):
        raise InputError(f"row: {reason}")
    values = parse("row", line.text)
    check_kind("row", values, dict)
    return dict(values)


def read_delimited_rows(path: Path, columns: Columns, delimiter: str) -> Iterator[Row]:
    """Yield the rows of a CSV or TSV file; what is kept of each are its fields. Raises InputError for a bad header."""
    records = read_records(path, delimiter)
    header = next(records).fields
    kept = [header.index(name) for name in columns.key] or range(len(header))
    for number, record in enumerate(records, start=1):
        reason = record.reason
        if not reason and len(record.fields) != len(header):
            reason = f"{len(record.fields)} fields, expected {len(header)}, as in the header"
        texts: dict[str, str] = {}
        if not reason:
            texts, reason = texts_of(dict(zip(header, record.fields, strict=True)), columns)
        fields = [] if reason else [record.fields[place] for place in kept]
        yield Row(number, record.end, texts, fields, shown(record.found), reason)


def read_header(path: Path, delimiter: str) -> list[str]:
    """Return the names in the first line of a CSV or TSV file; raise InputError where there are none."""
    header = next(read_records(path, delimiter), None)
    if header is None:
        raise InputError(f"{path}: empty file, expected rows")
    if header.reason:
        raise InputError(f"{path}: header: {header.reason}")
    return header.fields


def read_records(path: Path, delimiter: str) -> Iterator[Record]:
    """Yield the header and then each row of a CSV or TSV file, quoted as `ingest` reads them; blank lines are none.

    A quote that is wrong or never closed spoils the line it stands on and no other: reading goes on with the next one.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    lines, waiting, taken = read_lines(path), deque[Line](), list[Line]()

    def feed() -> Iterator[str]:
        while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
            taken.append(line)
            if not line.whole:
                raise csv.Error(f"a line of over {LONGEST_LINE:,} bytes")
            yield line.text

    previous_limit = csv.field_size_limit(MAX_CHARACTERS)
    try:
        reader = csv.reader(feed(), delimiter=delimiter, quoting=quoting, strict=True)
        while True:
            taken.clear()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                waiting.extendleft(reversed(taken[1:]))
                yield Record([], taken[0].text, taken[0].end, _broken(error, len(taken)))
                reader = csv.reader(feed(), delimiter=delimiter, quoting=quoting, strict=True)
                continue
            found = "".join(line.text for line in taken)
            if found.strip():
                reason = _damage(found)
                yield Record([] if reason else fields, found, taken[-1].end, reason)
    finally:
        csv.field_size_limit(previous_limit)


def _broken(error: csv.Error, lines: int) -> str:
    if "bytes" in str(error):
        return str(error)
    if "limit" in str(error):
        return f"a field of more than {MAX_CHARACTERS:,} characters, or a quote that is never closed"
    return "a quote that is never closed" if "end of data" in str(error) else f"broken quote or line ending ({error})"


def _damage(text: str) -> str:
    """Return what is wrong with a text whose bytes were no UTF-8, else an empty string."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"byte 0x{ord(text[error.start]) & 0xFF:02x} at character {error.start} is not UTF-8"
    return ""


def shown(text: str) -> str:
    """Return a line as it stands in the file, without its end; bytes that are no UTF-8 are written as `\\xNN`."""
    return text.rstrip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_cells(answer: Sequence[Any], delimiter: str) -> list[str]:
    """Return an answer as cells of a CSV or TSV file: numbers as Python writes them, lists and objects as JSON.

    TSV has no quotes, so there a tab or the end of a line in a text that a model wrote stands as `\\t`, `\\n`, `\\r`.
    """
    plain = ["" if value is None else value for value in answer]  # a label that was withheld
    cells = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in plain]
    return cells if delimiter == "," else [cell.translate({9: "\\t", 10: "\\n", 13: "\\r"}) for cell in cells]
