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

from pipeline.files import InputError
from pipeline.params import ColumnsParams
from pipeline.sources.well_formed import MAX_BYTES, MAX_COLUMNS, MAX_LINES, check_columns, check_limit

_TEXT = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
_NUMBERS = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)


def check_parquet(path: Path, columns: ColumnsParams) -> list[str]:
    """Return the names of the columns to read; raise InputError where the file is broken or over a limit.

    How far a page expands is what the file's own footer says of it.
    """
    if not path.stat().st_size:
        raise InputError(f"{path}: empty file, expected rows")
    check_limit(path, path.stat().st_size, "bytes", MAX_BYTES)
    names = list(dict.fromkeys(filter(None, columns.model_dump().values())))
    with _naming(path):
        with pq.ParquetFile(path) as file:
            _check_footer(path, file, columns, names)
        with pq.ParquetFile(path, read_dictionary=names) as file:
            _check_decoded(path, file, names)
    return names


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises over a broken file into an InputError; what the system refuses goes through."""
    try:
        yield
    except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())})") from None


def _check_footer(path: Path, file: pq.ParquetFile, columns: ColumnsParams, names: list[str]) -> None:
    metadata = file.metadata
    if not metadata.num_rows:
        raise InputError(f"{path}: no rows, expected some")
    check_limit(path, metadata.num_rows, "rows", MAX_LINES)
    check_limit(path, metadata.num_columns, "columns", MAX_COLUMNS)
    check_columns(path, file.schema_arrow.names, columns)
    for name in names:
        _check_type(path, file.schema_arrow.field(name))
    places = [i for i in range(metadata.num_columns) if metadata.schema.column(i).path in names]
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    expanded = sum(group.column(i).total_uncompressed_size for group in groups for i in places)
    check_limit(path, expanded, "bytes uncompressed", MAX_BYTES)


def _check_type(path: Path, field: pa.Field) -> None:
    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    if not any(is_kind(kind) for is_kind in _TEXT + _NUMBERS):
        raise InputError(f"{path}: column {field.name!r} holds {field.type}, expected text or numbers")


def _check_decoded(path: Path, file: pq.ParquetFile, names: list[str]) -> None:
    total = 0
    for batch in file.iter_batches(columns=names):
        for column in batch.columns:
            if types.is_dictionary(column.type) and any(is_kind(column.type.value_type) for is_kind in _TEXT):
                lengths = pc.binary_length(column.dictionary).cast(pa.int64())
                total += pc.sum(pc.take(lengths, column.indices)).as_py() or 0
        check_limit(path, total, "bytes of text", MAX_BYTES)
