"""Cleaned rows on disk, in scratch files that go with the stage: in order of their ids, read a part at a time."""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.params import DatasetParams
from pipeline.schema import CANONICAL, compared
from pipeline.sources.canonical import CountedRows, Row, at_most, cleaned_rows, without_duplicates
from pipeline.sources.characters import batches
from pipeline.sources.removed import Removed
from pipeline.sources.tagged import Span

_SCHEMA = CANONICAL.append(pa.field("given_split", pa.string())).append(pa.field("group", pa.string()))
BATCH_ROWS, BATCH_CHARACTERS = 1024, 16_000_000  # that are in memory at once: one of them is reached
RUN_CHARACTERS = 50_000_000  # of the rows that are sorted in memory
MERGED_CHARACTERS = 50_000  # of each sorted run while they are merged


class Part(NamedTuple):
    """Some rows: their numbers, int64 (rows,); the texts that they are compared by; the rows themselves."""

    numbers: np.ndarray
    texts: list[str]
    rows: pa.RecordBatch


class StoredRows:
    """Rows in a file, numbered from 0."""

    def __init__(self, path: Path, rows: Iterable[Row]) -> None:
        """Write `rows` to `path`, a scratch file."""
        self._starts = [0]  # of each batch, and behind the last one
        with pa.ipc.new_file(str(path), _SCHEMA) as writer:
            for batch in _in_batches(rows):
                writer.write_batch(_as_batch(batch))
                self._starts.append(self._starts[-1] + len(batch))
        self._file = pa.ipc.open_file(pa.OSFile(str(path)))

    def __len__(self) -> int:
        return self._starts[-1]

    def chosen(self, mask: np.ndarray) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """Yield the rows that `mask`, bool (rows,), marks, and their numbers, at most BATCH_ROWS at a time."""
        for i, (start, end) in enumerate(itertools.pairwise(self._starts)):
            numbers = start + np.flatnonzero(mask[start:end])
            if len(numbers):
                yield numbers, self._file.get_batch(i).take(pa.array(numbers - start))

    def parts(self, mask: np.ndarray | None = None) -> Iterator[Part]:
        """Yield the rows that `mask` marks, or all, in parts of about a million characters."""
        for numbers, rows in self.chosen(np.ones(len(self), dtype=bool) if mask is None else mask):
            texts = list(map(compared, rows["text"].to_pylist(), rows["pair"].to_pylist()))
            for part in batches(np.array([len(text) for text in texts])):
                yield Part(numbers[part], texts[part], rows.slice(part.start, part.stop - part.start))

    def texts_at(self, numbers: np.ndarray) -> list[str]:
        """Return the texts that rows are compared by, of the rows with these `numbers`, sorted and each once."""
        mask = np.zeros(len(self), dtype=bool)
        mask[numbers] = True
        return [text for part in self.parts(mask) for text in part.texts]


def canonical_rows(raw: CountedRows, name: str, dataset: DatasetParams, removed: Removed, scratch: Path) -> StoredRows:
    """Return the cleaned, labelled rows of dataset `name`, each text once, sorted by id; what leaves goes to `removed`.

    `scratch` is a folder for files. Raises InputError for a label outside the set, a label without rows, or rows that
    are all the same.
    """
    runs = SortedRuns(scratch / "runs.arrow")
    for row in cleaned_rows(raw, name, dataset, removed):
        runs.add(row)
    unique = without_duplicates(runs.merged(), removed)
    rows = StoredRows(scratch / "rows.arrow", at_most(dataset.max_rows, unique, removed))
    (scratch / "runs.arrow").unlink(missing_ok=True)
    return rows


class SortedRuns:
    """Rows that are sorted by id in any number: runs that fit in memory are sorted, written and merged.

    Knuth, The Art of Computer Programming 3, section 5.4. The last run stays in memory, and with it all that is small.
    """

    def __init__(self, path: Path) -> None:
        """Keep runs in the scratch file `path`."""
        self._path, self._rows, self._characters = path, list[Row](), 0
        self._runs: list[range] = []  # of each run the batches that it is in the file
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, row: Row) -> None:
        """Take a row in."""
        self._rows.append(row)
        self._characters += sum(map(len, row.texts))
        if self._characters >= RUN_CHARACTERS:
            self._write_run()

    def merged(self) -> Iterator[Row]:
        """Yield all rows in order of their ids; no row is taken in afterwards."""
        self._rows.sort(key=attrgetter("id"))
        if self._writer is None:
            return iter(self._rows)
        self._writer.close()
        file = pa.ipc.open_file(pa.OSFile(str(self._path)))
        runs = [(row for i in run for row in as_rows(file.get_batch(i))) for run in self._runs]
        return heapq.merge(*runs, self._rows, key=attrgetter("id"))

    def _write_run(self) -> None:
        self._rows.sort(key=attrgetter("id"))
        first = self._runs[-1].stop if self._runs else 0
        self._writer = self._writer or pa.ipc.new_file(str(self._path), _SCHEMA)
        lengths = np.array([sum(map(len, row.texts)) for row in self._rows])
        pieces = list(batches(lengths, MERGED_CHARACTERS))
        for piece in pieces:
            self._writer.write_batch(_as_batch(self._rows[piece]))
        self._runs.append(range(first, first + len(pieces)))
        self._rows, self._characters = [], 0


def _in_batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(map(len, row.texts))
        if len(batch) == BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _as_batch(rows: list[Row]) -> pa.RecordBatch:
    arrays = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def as_rows(batch: pa.RecordBatch) -> Iterator[Row]:
    """Yield the rows of a batch of stored ones."""
    for values in batch.to_pylist():
        if values["labels"] is not None:
            values["labels"] = tuple(values["labels"])
        if values["spans"] is not None:
            values["spans"] = tuple(Span(**span) for span in values["spans"])
        if values["metadata"] is not None:
            values["metadata"] = tuple((item["column"], item["value"]) for item in values["metadata"])
        yield Row(**values)
