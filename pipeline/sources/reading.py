"""Any source as plain columns, some thousand rows at a time."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.files import InputError, sha256_of_file
from pipeline.params import ColumnsParams, CounterExamplesParams, HubSource, LocalSource, PackageSource, StorageSource
from pipeline.schema import COUNTER_EXAMPLES
from pipeline.sources.blocks import BLOCK_ROWS, Block
from pipeline.sources.conversations import read_conversations
from pipeline.sources.lines import read_aligned, read_document, read_lines
from pipeline.sources.listed import fetched
from pipeline.sources.locating import SourceFile, locate
from pipeline.sources.parquet import is_list, read_parquet
from pipeline.sources.squad import read_squad
from pipeline.sources.tagged import Span, read_tagged
from pipeline.sources.text_files import open_text, read_text
from pipeline.sources.well_formed import check_columns, check_length, read_delimited, read_jsonl

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
    """Neighbouring rows of one file of a source, column by column; the values are those of SourceRow.

    split: `dev` or `test` where the source says so, COUNTER_EXAMPLES, or `train`, the rows to be split.
    first: the number of the first of the rows in the file, counted from 1.
    """

    name: str
    split: str
    first: int
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
        _, _, _, *columns = self
        return map(SourceRow._make, zip(*columns, strict=True))


def read_source(
    source: PackageSource | LocalSource | StorageSource | HubSource,
    path: Path,
    columns: ColumnsParams,
    scratch: Path | None = None,
) -> Iterator[SourceRows]:
    """Yield the rows of a dataset's source, file after file, some thousand rows at a time.

    A column that `columns` leaves null comes back as None in every row. What is one value from its first character to
    its last (JSON that is no lines) or whose rows depend on each other (running text) is yielded a file at a time.
    Raises InputError naming the file and the row, line or column that is wrong.
    scratch: a folder in which a file of a storage lies while it is read.
    """
    if isinstance(source, HubSource):
        name = f"hub dataset {source.name}"
        yield from _source_rows(name, "train", _from_hub(name, source, columns), columns)
        return
    if isinstance(source, StorageSource):
        assert scratch is not None  # ingest, which alone reads such sources, has one
        for file in fetched(source, path, scratch):
            with _as_named(file):
                blocks = _from_file(file.path, file.name, source, columns)
                yield from _source_rows(file.name, file.split, blocks, columns)
        return
    files = locate(source, path)
    if source.format == "aligned":
        for first, second in zip(files[::2], files[1::2], strict=True):
            name, blocks = f"{first.name}, {second.name}", read_aligned(first.path, second.path, columns)
            yield from _source_rows(name, first.split, blocks, columns)
        return
    for file in files:
        yield from _source_rows(file.name, file.split, _from_file(file.path, file.name, source, columns), columns)


@contextlib.contextmanager
def _as_named(file: SourceFile) -> Iterator[None]:
    """Have errors over a file that was fetched name its place on the storage."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(str(file.path), file.name)) from None


def read_counter_examples(given: CounterExamplesParams, columns: ColumnsParams) -> Iterator[SourceRows]:
    """Yield the rows that a dataset has beside its source, which are training rows.

    Raises InputError where the file is missing, another than was given, or wrong in a row.
    """
    path = Path(given.file)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected annotated rows (counter_examples.file)")
    if (found := sha256_of_file(path)) != given.sha256:
        raise InputError(f"{path}: sha256 is {found}, expected {given.sha256} (counter_examples.sha256)")
    own = columns.model_copy(update={"source": None})
    with open_text(path) as file:
        for rows in _source_rows(str(path), COUNTER_EXAMPLES, read_delimited(path, file, own, ","), own):
            named = columns.source is not None
            yield rows._replace(sources=[COUNTER_EXAMPLES] * len(rows.texts)) if named else rows


def _source_rows(name: str, split: str, blocks: Iterable[Block], columns: ColumnsParams) -> Iterator[SourceRows]:
    first = 1
    for found in blocks:
        count = len(found[columns.text])
        for column in filter(None, (columns.text, columns.pair, columns.target)):
            for row, text in enumerate(found[column], start=first):
                check_length(name, row, text or "")
        nothing: list[Any] = [None] * count
        values = dict.fromkeys(SourceRow._fields, nothing) | {key: found[column] for key, column in columns.named}
        values["metadata"] = _metadata(found, columns.metadata) if columns.metadata else nothing
        yield SourceRows(name, split, first, *(values[key] for key in SourceRow._fields))
        first += count
    if first == 1:
        raise InputError(f"{name}: no rows, expected some")


def _metadata(found: dict[str, list[Any]], names: list[str]) -> list[Metadata]:
    rows = zip(*(found[name] for name in names), strict=True)
    return [tuple((name, (value or "").strip()) for name, value in zip(names, row, strict=True)) for row in rows]


def _from_file(
    path: Path, name: str, source: PackageSource | LocalSource | StorageSource, columns: ColumnsParams
) -> Iterator[Block]:
    header, piece_characters = (
        (source.header, source.piece_characters) if isinstance(source, LocalSource) else (None, None)
    )
    match source.format:
        case "parquet":
            for table in read_parquet(path, columns):
                yield _as_text(name, table, columns)
        case "csv" | "tsv":
            # every column as text: "NA" and "0" are what the file says, not what a parser makes of them
            with open_text(path) as file:
                yield from read_delimited(path, file, columns, "," if source.format == "csv" else "\t", header)
        case "jsonl":
            with open_text(path, newline="\n") as file:
                for found in read_jsonl(path, file, columns):
                    yield _as_text(name, _as_table(name, found), columns)
        case "text":
            yield from read_lines(path, columns)
        case "squad":
            yield read_squad(path, read_text(path), columns)
        case "conversations":
            yield read_conversations(path, read_text(path), columns)
        case "conll" | "slots":
            yield read_tagged(path, read_text(path), columns, labelled=source.format == "slots")
        case _:
            assert piece_characters is not None  # given for the format `document`, which is the only one left
            yield read_document(path, read_text(path), columns, piece_characters)


def _from_hub(name: str, source: HubSource, columns: ColumnsParams) -> Iterator[Block]:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # one line for an error, and it is ours
    try:
        found = datasets.load_dataset(
            source.name, name=source.configuration, split=source.split, revision=source.revision
        )
    except (DatasetNotFoundError, ValueError) as error:  # ValueError: an unknown configuration or split
        raise InputError(f"{name}: {' '.join(str(error).split())}") from None
    table = found.data.table  # mapped from the file that `datasets` keeps
    check_columns(name, table.column_names, columns)
    for start in range(0, len(table), BLOCK_ROWS):
        yield _as_text(name, table.slice(start, BLOCK_ROWS), columns)


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
