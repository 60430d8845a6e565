"""The formats that are scored. Each is read row by row, written part by part, and put together without holding it.

The output has the format of the input, so nothing of a row is converted on its way.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pipeline.files import InputError
from pipeline.scoring.lines import as_cells, read_delimited_rows, read_header, read_json_rows
from pipeline.scoring.parquet import ParquetTable
from pipeline.scoring.rows import Columns, Row


class Table(Protocol):
    """An input, and how what it holds is written with answers beside it.

    size: how much there is to read, in `unit`.
    """

    size: int
    unit: str

    def rows(self) -> Iterator[Row]:
        """Yield row after row."""

    def write(self, part: Path, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """Write rows and their answers as a part of the output."""

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the output that `parts` are the parts of."""


class JsonLines:
    """A JSON lines file: an object a line, of any keys."""

    unit = "byte"

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns, self.size = path, columns, path.stat().st_size

    def rows(self) -> Iterator[Row]:
        """Yield row after row."""
        return read_json_rows(self.path, self.columns)

    def write(self, part: Path, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """Write rows and their answers as a part of the output."""
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            for row, answer in zip(rows, answers, strict=True):
                # what is kept is spelled already, an object of at least one key
                file.write(f"{row.kept[:-1]}, {json.dumps(answer, ensure_ascii=False)[1:]}\n")

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the output that `parts` are the parts of."""
        append(parts, out)


class Delimited:
    """A CSV or TSV file with a header; in the output lists and objects are cells of JSON."""

    unit = "byte"

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns, self.size = path, columns, path.stat().st_size
        self.delimiter = "," if path.suffix == ".csv" else "\t"
        self.header = [*columns.kept_of(path, read_header(path, self.delimiter)), *columns.answers]

    def rows(self) -> Iterator[Row]:
        """Yield row after row."""
        return read_delimited_rows(self.path, self.columns, self.delimiter)

    def write(self, part: Path, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """Write rows and their answers as a part of the output."""
        cells = (as_cells([answer[name] for name in self.columns.answers], self.delimiter) for answer in answers)
        self._write(part, [[*row.kept, *own] for row, own in zip(rows, cells, strict=True)])

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the output that `parts` are the parts of."""
        self._write(out, [self.header])
        append(parts, out)

    def _write(self, path: Path, lines: Sequence[Sequence[str]]) -> None:
        with open(path, "w", encoding="utf-8", newline="") as file:
            if self.delimiter == ",":
                csv.writer(file, lineterminator="\r\n").writerows(lines)  # RFC 4180; it also has \r put in quotes
            else:
                file.writelines("\t".join(line) + "\n" for line in lines)


def append(parts: Sequence[Path], out: Path) -> None:
    """Append the bytes of files to `out`, which need not be there."""
    with open(out, "ab") as file:
        for part in parts:
            with open(part, "rb") as source:
                shutil.copyfileobj(source, file)


FORMATS: dict[str, Callable[[Path, Columns], Table]] = {
    ".parquet": ParquetTable,
    ".csv": Delimited,
    ".tsv": Delimited,
    ".jsonl": JsonLines,
}


def check_file(path: Path) -> None:
    """Raise InputError where a file is missing, of another format or empty."""
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: expected a file that ends in {', '.join(FORMATS)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected rows")
    if not path.stat().st_size:
        raise InputError(f"{path}: empty file, expected rows")


def open_table(path: Path, columns: Columns) -> Table:
    """Return the table in a file; raise InputError where its columns are not what `columns` says."""
    check_file(path)
    return FORMATS[path.suffix](path, columns)
