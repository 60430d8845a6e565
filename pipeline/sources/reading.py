"""Any source as three plain columns, read through `datasets.load_dataset`; CSV and TSV as they are checked."""

import glob
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.files import InputError
from pipeline.params import ColumnsParams, HubSource, LocalSource, PackageSource
from pipeline.sources.locating import locate
from pipeline.sources.parquet import check_parquet
from pipeline.sources.well_formed import (
    check_columns,
    check_jsonl,
    check_length,
    check_lines,
    check_text,
    read_delimited,
)


class SourceRows(NamedTuple):
    """The rows of a source in their own order; values as text, None where the source has none."""

    name: str
    texts: list[str | None]
    labels: list[str | None]
    sources: list[str | None]


def read_source(source: PackageSource | LocalSource | HubSource, path: Path, columns: ColumnsParams) -> SourceRows:
    """Read a dataset's source; a column that `columns` leaves null comes back as None in every row.

    Raises InputError naming the file and the row, line or column that is wrong.
    """
    if isinstance(source, HubSource):
        name, table = f"hub dataset {source.name}", _from_hub(source)
        check_columns(name, table.column_names, columns)
    else:
        file = locate(source, path)
        name, table = (
            str(path if isinstance(source, LocalSource) else source.file),
            _from_file(file, source.format, columns),
        )
    if not table.num_rows:
        raise InputError(f"{name}: no rows, expected some")
    texts, labels, sources = (_as_text(name, table, column) for column in (columns.text, columns.label, columns.source))
    for row, text in enumerate(texts, start=1):
        check_length(name, row, text or "")
    return SourceRows(name, texts, labels, sources)


def _from_file(file: Path, file_format: str, columns: ColumnsParams) -> pa.Table:
    if file_format == "parquet":
        return _load_file("parquet", file, columns=check_parquet(file, columns))
    text = check_text(file)
    if file_format == "jsonl":
        check_jsonl(file, text, columns)
        return _load_file("json", file)
    if file_format == "text":
        check_lines(file, text, columns)
        return _load_file("text", file, encoding="utf-8-sig")
    found = read_delimited(file, text, columns, "," if file_format == "csv" else "\t")
    # every column as text: "NA" and "0" are what the file says, not what a parser makes of them
    return pa.table({name: pa.array(values, pa.string()) for name, values in found.items()})


def _load_file(builder: str, file: Path, **options: Any) -> pa.Table:
    from datasets.exceptions import DatasetGenerationError

    # a cache of its own: an old one would decide by the file's time whether to look at the file at all
    with tempfile.TemporaryDirectory() as cache:
        try:
            return _load(
                builder, data_files=glob.escape(str(file.absolute())), split="train", cache_dir=cache, **options
            )
        except DatasetGenerationError as error:
            cause = error.__cause__ or error
            if isinstance(cause, OSError) and cause.errno is not None:  # a full disk is nothing the file could help
                raise OSError(cause.errno, cause.strerror or str(cause), cause.filename or cache) from None
            raise InputError(f"{file}: not readable as {builder} ({' '.join(str(cause).split())})") from None


def _from_hub(source: HubSource) -> pa.Table:
    from datasets.exceptions import DatasetNotFoundError

    try:
        return _load(source.name, name=source.configuration, split=source.split, revision=source.revision)
    except DatasetNotFoundError as error:
        raise InputError(f"hub dataset {source.name}: {' '.join(str(error).split())}") from None
    except ValueError as error:  # an unknown configuration or split
        raise InputError(f"hub dataset {source.name}: {' '.join(str(error).split())}") from None


def _load(builder: str, **options: Any) -> pa.Table:
    import datasets

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # reading a local file calls nobody
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # one line for an error, and it is ours
    return datasets.load_dataset(builder, keep_in_memory=True, **options).data.table


def _as_text(name: str, table: pa.Table, column: str | None) -> list[str | None]:
    if column is None:
        return [None] * table.num_rows
    try:
        values = table[column].cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(f"{name}: column {column!r} holds {table[column].type}, expected text or numbers") from None
    try:
        values.validate(full=True)  # a Parquet file may call any bytes text
    except pa.ArrowInvalid as error:
        raise InputError(f"{name}: column {column!r} holds no UTF-8 text ({error})") from None
    return values.to_pylist()
