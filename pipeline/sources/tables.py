"""The tables of a dataset's splits: written from stored rows, and checked to hold what a split has to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.files import InputError
from pipeline.params import DatasetParams
from pipeline.schema import CANONICAL
from pipeline.sources.stored import StoredRows

GROUP_ROWS = 1024 * 1024  # of a row group, as pyarrow cuts a table that is in memory
_MOST_BYTES = 2**31 - 2  # of an array of texts, whose places have 32 bits


@dataclass(frozen=True)
class Contents:
    """What a split holds: how many rows, and labels of which classes."""

    rows: int
    labels: frozenset[str]


def write_table(path: Path, rows: StoredRows, mask: np.ndarray, scratch: Path) -> Contents:
    """Write the rows that `mask` marks as Parquet, in their order; equal rows give equal bytes.

    A row group of a column has to be one array: cut elsewhere, the same rows would give other pages. So its texts are
    put together in files of the new folder `scratch`, which Parquet maps.
    """
    scratch.mkdir()
    numbers = np.flatnonzero(mask)
    labels: set[str] = set()
    with pq.ParquetWriter(path, CANONICAL, compression="zstd") as writer:
        for start in range(0, max(len(numbers), 1), GROUP_ROWS):
            group = np.zeros(len(mask), dtype=bool)
            group[numbers[start : start + GROUP_ROWS]] = True
            columns = {field.name: _column(field, scratch / field.name) for field in CANONICAL}
            for _, batch in rows.chosen(group):
                labels.update(pc.unique(batch["label"]).to_pylist(), pc.unique(batch["labels"].flatten()).to_pylist())
                for name, column in columns.items():
                    column.add(batch[name])
            writer.write_table(pa.table([column.whole() for column in columns.values()], schema=CANONICAL))
    return Contents(len(numbers), frozenset(labels - {None}))


class _Column:
    """A column of a row group, in memory."""

    def __init__(self, kind: pa.DataType) -> None:
        self._parts = [pa.array([], kind)]

    def add(self, values: pa.Array) -> None:
        self._parts.append(values)

    def whole(self) -> pa.Array | pa.ChunkedArray:
        return pa.concat_arrays(self._parts)


class _TextColumn:
    """A column of a row group whose texts are in a file; in memory are their lengths, and which are there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.write_bytes(b"")
        self._lengths, self._there = [np.zeros(0, np.int64)], [np.zeros(0, dtype=bool)]

    def add(self, values: pa.Array) -> None:
        self._lengths.append(np.asarray(pc.fill_null(pc.binary_length(values), 0), np.int64))
        self._there.append(np.asarray(values.is_valid()))
        places = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
        if values.buffers()[2] is not None:
            with open(self._path, "ab") as file:
                file.write(values.buffers()[2][int(places[0]) : int(places[-1])])

    def whole(self) -> pa.Array | pa.ChunkedArray:
        there, ends = np.concatenate(self._there), np.concatenate([[0], np.cumsum(np.concatenate(self._lengths))])
        data = pa.memory_map(str(self._path)).read_buffer() if ends[-1] else pa.py_buffer(b"")
        self._path.unlink()  # its bytes stay until nobody maps them
        arrays = []
        start = 0
        while start < len(there):
            stop = int(np.searchsorted(ends, ends[start] + _MOST_BYTES, side="right")) - 1
            buffers = [
                pa.py_buffer(np.packbits(there[start:stop], bitorder="little")),
                pa.py_buffer((ends[start : stop + 1] - ends[start]).astype(np.int32)),
                data.slice(ends[start], ends[stop] - ends[start]),
            ]
            arrays.append(pa.Array.from_buffers(pa.string(), stop - start, buffers))
            start = stop
        return pa.chunked_array(arrays, pa.string())


def _column(field: pa.Field, path: Path) -> _Column | _TextColumn:
    return _TextColumn(path) if field.type == pa.string() else _Column(field.type)


def check_splits(name: str, splits: dict[str, Contents], dataset: DatasetParams) -> None:
    """Raise InputError where a split that should have rows has none, or one made by its share has none of a class."""
    shares = {"train": 1.0, "dev": dataset.split.dev, "test": dataset.split.test}
    total = sum(contents.rows for contents in splits.values())
    for split, contents in splits.items():
        # a rare one among several labels may stand in none of the few rows of dev or test
        expected = dataset.row_labels + (dataset.set_labels if split == "train" else [])
        lacking = [f"no row of class {label!r}" for label in expected if label not in contents.labels]
        if shares[split] and (lacking or not contents.rows):
            what = lacking[0] if lacking else "no row"
            share = split if split != "train" else "dev and split.test"
            raise InputError(
                f"{name}: {total} rows are too few to split: {split} has {what}, expected at least one; "
                f"give more rows or a larger share (split.{share})"
            )
        if split in dataset.given_splits and not contents.rows:
            raise InputError(f"{name}: no row of {split} is left, expected some (source.files.{split})")
