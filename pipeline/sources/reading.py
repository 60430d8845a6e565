"""Any source as plain columns: text formats read as they are checked, Parquet and the hub by `datasets`."""

import glob
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.files import InputError, sha256_of_file
from pipeline.params import ColumnsParams, CounterExamplesParams, HubSource, LocalSource, PackageSource
from pipeline.schema import COUNTER_EXAMPLES
from pipeline.sources.conversations import read_conversations
from pipeline.sources.lines import read_aligned, read_document, read_lines
from pipeline.sources.locating import locate
from pipeline.sources.parquet import check_parquet, is_list
from pipeline.sources.squad import read_squad
from pipeline.sources.tagged import Span, read_tagged
from pipeline.sources.well_formed import (
    check_columns,
    check_length,
    check_text,
    read_delimited,
    read_jsonl,
)

Metadata = tuple[tuple[str, str], ...]  # further columns of a row and its values there, "" for none


class SourceRow(NamedTuple):
    """One row of a source, as it stands there; None where it has no value, or the parameters name no column."""

    text: str | None
    pair: str | None
    label: str | None
    labels: str | None
    spans: list[Span] | None
    target: str | None
    score: str | None
    group: str | None
    source: str | None
    metadata: Metadata | None


class SourceRows(NamedTuple):
    """The rows of one file of a source in their own order, column by column; the values are those of SourceRow.

    split: `dev` or `test` where the source says so, COUNTER_EXAMPLES, or `train`, the rows to be split.
    """

    name: str
    split: str
    texts: list[str | None]
    pairs: list[str | None]
    labels: list[str | None]
    label_sets: list[str | None]
    spans: list[list[Span] | None]
    targets: list[str | None]
    scores: list[str | None]
    groups: list[str | None]
    sources: list[str | None]
    metadata: list[Metadata | None]

    def rows(self) -> Iterator[SourceRow]:
        """Yield row after row."""
        _, _, *columns = self
        return map(SourceRow._make, zip(*columns, strict=True))


def read_source(
    source: PackageSource | LocalSource | HubSource, path: Path, columns: ColumnsParams
) -> list[SourceRows]:
    """Read each file of a dataset's source; a column that `columns` leaves null comes back as None in every row.

    Raises InputError naming the file and the row, line or column that is wrong.
    """
    if isinstance(source, HubSource):
        name = f"hub dataset {source.name}"
        table = _from_hub(source)
        check_columns(name, table.column_names, columns)
        return [_rows(name, "train", _as_text(name, table, columns), columns)]
    files = locate(source, path)
    if source.format == "aligned":
        return [
            _rows(f"{first.name}, {second.name}", first.split, read_aligned(first.path, second.path, columns), columns)
            for first, second in zip(files[::2], files[1::2], strict=True)
        ]
    return [_rows(file.name, file.split, _from_file(file.path, file.name, source, columns), columns) for file in files]


def read_counter_examples(given: CounterExamplesParams, columns: ColumnsParams) -> SourceRows:
    """Read the rows that a dataset has beside its source, which are training rows.

    Raises InputError where the file is missing, another than was given, or wrong in a row.
    """
    path = Path(given.file)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected annotated rows (counter_examples.file)")
    if (found := sha256_of_file(path)) != given.sha256:
        raise InputError(f"{path}: sha256 is {found}, expected {given.sha256} (counter_examples.sha256)")
    own = columns.model_copy(update={"source": None})
    rows = _rows(str(path), COUNTER_EXAMPLES, read_delimited(path, check_text(path), own, ","), own)
    return rows if columns.source is None else rows._replace(sources=[COUNTER_EXAMPLES] * len(rows.texts))


def _rows(name: str, split: str, found: dict[str, list[Any]], columns: ColumnsParams) -> SourceRows:
    count = len(found[columns.text])
    if not count:
        raise InputError(f"{name}: no rows, expected some")
    for column in filter(None, (columns.text, columns.pair, columns.target)):
        for row, text in enumerate(found[column], start=1):
            check_length(name, row, text or "")
    nothing: list[Any] = [None] * count
    values = dict.fromkeys(SourceRow._fields, nothing) | {key: found[column] for key, column in columns.named}
    values["metadata"] = _metadata(found, columns.metadata) if columns.metadata else nothing
    return SourceRows(name, split, *(values[key] for key in SourceRow._fields))


def _metadata(found: dict[str, list[Any]], names: list[str]) -> list[Metadata]:
    rows = zip(*(found[name] for name in names), strict=True)
    return [tuple((name, (value or "").strip()) for name, value in zip(names, row, strict=True)) for row in rows]


def _from_file(
    file: Path, name: str, source: PackageSource | LocalSource, columns: ColumnsParams
) -> dict[str, list[Any]]:
    if source.format == "parquet":
        return _as_text(name, _load_file("parquet", file, columns=check_parquet(file, columns)), columns)
    text = check_text(file)
    header, piece_characters = (
        (source.header, source.piece_characters) if isinstance(source, LocalSource) else (None, None)
    )
    if piece_characters is not None:
        return read_document(file, text, columns, piece_characters)
    match source.format:
        case "csv" | "tsv":
            # every column as text: "NA" and "0" are what the file says, not what a parser makes of them
            return read_delimited(file, text, columns, "," if source.format == "csv" else "\t", header)
        case "jsonl":
            return _as_text(name, _as_table(name, read_jsonl(file, text, columns)), columns)
        case "text":
            return read_lines(file, text, columns)
        case "squad":
            return read_squad(file, text, columns)
        case "conversations":
            return read_conversations(file, text, columns)
    return read_tagged(file, text, columns, labelled=source.format == "slots")


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


def _as_table(name: str, found: dict[str, list[Any]]) -> pa.Table:
    try:
        return pa.table(found)
    except (OverflowError, pa.ArrowInvalid) as error:
        raise InputError(f"{name}: a number beyond 64 bits ({error}), expected text or smaller numbers") from None


def _as_text(name: str, table: pa.Table, columns: ColumnsParams) -> dict[str, list[Any]]:
    found = {column: _column_as_text(name, table, column) for key, column in columns.named if key != "labels"}
    lists = columns.labels
    return found if lists is None else found | {lists: _lists_as_text(name, table, lists)}


def _lists_as_text(name: str, table: pa.Table, column: str) -> list[str | None]:
    """Return lists as the JSON that a cell of text may hold as well; other columns as they are."""
    if not is_list(table[column].type):
        return _column_as_text(name, table, column)
    try:
        rows = table[column].to_pylist()
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: column {column!r} holds no UTF-8 text ({error})") from None
    return [None if row is None else json.dumps(row, default=str) for row in rows]


def _column_as_text(name: str, table: pa.Table, column: str) -> list[str | None]:
    try:
        values = table[column].cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(f"{name}: column {column!r} holds {table[column].type}, expected text or numbers") from None
    try:
        values.validate(full=True)  # a Parquet file may call any bytes text
    except pa.ArrowInvalid as error:
        raise InputError(f"{name}: column {column!r} holds no UTF-8 text ({error})") from None
    return values.to_pylist()
