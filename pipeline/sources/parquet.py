"""What a Parquet file must be before its columns are read: whole, of text and numbers, and not a bomb.

A few kilobytes can hold gigabytes: compressed pages, or a dictionary of one long text that a million rows point to. So
the columns are decoded once with the dictionaries left as they are, and what the rows would hold is added up.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from pipeline.files import InputError, open_parquet
from pipeline.params import ColumnsParams
from pipeline.sources.blocks import BLOCK_ROWS
from pipeline.sources.well_formed import (
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_LINES,
    check_columns,
    check_limit,
    distinct_names,
)

_TEXT = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
_NUMBERS = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)


def is_list(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds lists of any length."""
    return bool(types.is_list(kind) or types.is_large_list(kind))


def read_parquet(path: Path, columns: ColumnsParams) -> Iterator[pa.Table]:
    """Yield the named columns of a Parquet file, some rows at a time.

    Raises InputError where the file is broken or over a limit. How far a page expands is what the file's own footer
    says of it.
    """
    if not path.stat().st_size:
        raise InputError(f"{path}: empty file, expected rows")
    check_limit(path, path.stat().st_size, "bytes", MAX_BYTES)
    names = distinct_names(columns)
    with _naming(path):
        with pq.ParquetFile(path) as file:
            leaves = _check_footer(path, file, columns, names)
        with open_parquet(path, read_dictionary=leaves) as file:
            _check_decoded(path, file, names)
        with open_parquet(path) as file:
            for batch in file.iter_batches(BLOCK_ROWS, columns=names):
                yield pa.Table.from_batches([batch])


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises over a broken file into an InputError; what the system refuses goes through."""
    try:
        yield
    except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())})") from None


def _check_footer(path: Path, file: pq.ParquetFile, columns: ColumnsParams, names: list[str]) -> list[str]:
    """Return the columns to read as Parquet has them: of lists of labels what the lists hold."""
    metadata = file.metadata
    if not metadata.num_rows:
        raise InputError(f"{path}: no rows, expected some")
    check_limit(path, metadata.num_rows, "rows", MAX_LINES)
    check_limit(path, metadata.num_columns, "columns", MAX_COLUMNS)
    check_columns(path, file.schema_arrow.names, columns)
    for name in names:
        _check_type(path, file.schema_arrow.field(name), lists=name == columns.labels)
    leaves = {i: metadata.schema.column(i).path for i in range(metadata.num_columns)}
    of_lists = f"{columns.labels}.list."
    places = [i for i, leaf in leaves.items() if leaf in names or leaf.startswith(of_lists)]
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    listed = [i for i in places if leaves[i] not in names]
    check_limit(path, sum(group.column(i).num_values for group in groups for i in listed), "labels", MAX_LINES)
    expanded = sum(group.column(i).total_uncompressed_size for group in groups for i in places)
    check_limit(path, expanded, "bytes uncompressed", MAX_BYTES)
    return [leaves[i] for i in places]


def _check_type(path: Path, field: pa.Field, *, lists: bool) -> None:
    kind = field.type.value_type if lists and is_list(field.type) else field.type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if not any(is_kind(kind) for is_kind in _TEXT + _NUMBERS):
        raise InputError(f"{path}: column {field.name!r} holds {field.type}, expected text or numbers")


def _check_decoded(path: Path, file: pq.ParquetFile, names: list[str]) -> None:
    total = 0
    for batch in file.iter_batches(columns=names):
        for column in batch.columns:
            if is_list(column.type):
                column = column.flatten()
            if types.is_dictionary(column.type) and any(is_kind(column.type.value_type) for is_kind in _TEXT):
                lengths = pc.binary_length(column.dictionary).cast(pa.int64())
                total += pc.sum(pc.take(lengths, column.indices)).as_py() or 0
        check_limit(path, total, "bytes of text", MAX_BYTES)
