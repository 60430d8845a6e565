"""Parquet files, read batch by batch and scored without a value of theirs ever becoming another one."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from pipeline.files import InputError, open_parquet
from pipeline.scoring.rows import Columns, Row, texts_of

BATCH_ROWS = 256
ROW_GROUP = 64 * 2**20  # bytes of the output's row groups
_TEXT = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
_PLAIN = {"string": pa.string(), "double": pa.float64(), "long": pa.int64()}


class ParquetTable:
    """A Parquet file. What it is damaged in is a page of many rows, so that is an error of the whole file."""

    unit = "row"

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        with _naming(path), pq.ParquetFile(path) as file:
            self.size, self.schema = file.metadata.num_rows, file.schema_arrow
        if not self.size:
            raise InputError(f"{path}: no rows, expected some")
        self.kept = columns.kept_of(path, self.schema.names)
        self.answers = pa.schema({name: arrow_type(kind) for name, kind in columns.answers.items()})

    def rows(self) -> Iterator[Row]:
        """Yield row after row."""
        read = list(dict.fromkeys([*self.kept, *self.columns.texts.values()]))
        number = 0
        with _naming(self.path), open_parquet(self.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=read):
                kept = batch.select(self.kept)
                values = {name: _values(batch.column(name)) for name in self.columns.texts.values()}
                for i in range(len(batch)):
                    number += 1
                    texts, reason = texts_of({name: column[i] for name, column in values.items()}, self.columns)
                    yield Row(number, number, texts, kept.slice(i, 1), _shown(batch.slice(i, 1)), reason)

    def write(self, part: Path, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """Write rows and their answers as a part of the output."""
        kept = pa.schema([self.schema.field(name) for name in self.kept])
        table = pa.Table.from_batches([row.kept for row in rows], kept)
        added = pa.Table.from_pylist(list(answers), self.answers)
        for field in self.answers:
            table = table.append_column(field, added[field.name])
        pq.write_table(table, part)

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the output that `parts` are the parts of."""
        waiting: list[pa.Table] = []
        with pq.ParquetWriter(out, pq.read_schema(parts[0]), compression="zstd") as writer:
            for part in parts:
                waiting.append(pq.read_table(part))
                if part == parts[-1] or sum(table.nbytes for table in waiting) > ROW_GROUP:
                    table = pa.concat_tables(waiting)
                    writer.write_table(table, row_group_size=max(len(table), 1))
                    waiting.clear()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises over a broken file into an InputError; what the system refuses goes through."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())})") from None


def arrow_type(kind: Any) -> pa.DataType:
    """Return the Arrow type of what a column of an MLflow signature holds: a text, a number, a list of objects."""
    from mlflow.types.schema import Array, Object

    if isinstance(kind, Array):
        return pa.list_(arrow_type(kind.dtype))
    if isinstance(kind, Object):
        return pa.struct([(member.name, arrow_type(member.dtype)) for member in kind.properties])
    return _PLAIN[kind.name]


def _values(column: pa.Array) -> list[Any]:
    """Return the values of a column; bytes where what it calls text is none."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not any(is_kind(column.type) for is_kind in _TEXT):
        return list(column.to_pylist())
    return [_decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _shown(row: pa.RecordBatch) -> str:
    """Return a row as JSON, without the columns that say text and hold none."""
    found = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        with contextlib.suppress(UnicodeDecodeError):
            found[name] = column[0].as_py()
    return json.dumps(found, ensure_ascii=False, default=str)
