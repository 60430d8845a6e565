"""The rows that are validated, read part by part so that no split's text is held whole; the texts held out."""

import contextlib
import gc
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import InputError, open_parquet
from pipeline.schema import CANONICAL, SPLITS

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 2048
PART_ROWS, PART_BYTES = 100_000, 32_000_000  # of a part that is in memory at once: one of them is reached

Part = tuple[str, list[pa.RecordBatch]]  # rows that are in memory at once: their split, and they themselves


def read_parts(rows: Path) -> Iterator[Part]:
    """Yield the rows of `rows`/{train,dev,test}.parquet, in this order; where there are none, one part is empty.

    Raises InputError where a file is missing, unreadable or lacks a column.
    """
    parts = ((split, part) for split in SPLITS for part in _in_parts(read_batches(rows / f"{split}.parquet")))
    first = next(parts, ("train", []))
    return itertools.chain([first], parts)


def count_rows(rows: Path) -> int:
    """Return how many rows `read_parts` yields in all; raise InputError where it would."""
    counted = 0
    for split in SPLITS:
        with _opened(rows / f"{split}.parquet") as file:
            counted += file.metadata.num_rows
    return counted


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield a canonical table, at most BATCH_ROWS rows at a time; raise InputError where it is none."""
    with _opened(path) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS, columns=CANONICAL.names)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with open_parquet(path) as file:
            found = file.schema_arrow.names
            if any(column not in found for column in CANONICAL.names):
                raise InputError(f"{path}: found columns {', '.join(found)}, expected {', '.join(CANONICAL.names)}")
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the rows of a split") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet file ({error})") from None


def _in_parts(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    part: list[pa.RecordBatch] = []
    for batch in batches:
        part.append(batch)
        if sum(map(len, part)) >= PART_ROWS or sum(piece.nbytes for piece in part) >= PART_BYTES:
            yield part
            part = []
    if part:
        yield part


def joined(parts: Iterable["pd.DataFrame"]) -> Iterator["pd.DataFrame"]:
    """Yield neighbouring parts as one until it has PART_ROWS: whoever judges them is slow to begin."""
    import pandas as pd

    waiting: list[pd.DataFrame] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= PART_ROWS:
            yield pd.concat(waiting, ignore_index=True)
            waiting = []
            gc.collect()  # Great Expectations leaves the part in cycles, whose size Python does not know
    if waiting:
        yield pd.concat(waiting, ignore_index=True)


def held_out_texts(path: Path, rows: Path) -> Iterator[str]:
    """Yield the texts of a held-out list but those of dev and test of `rows`, which are compared as whole rows.

    Raises InputError naming the file and line that is wrong.
    """
    own = {
        text
        for split in ("dev", "test")
        for batch in read_batches(rows / f"{split}.parquet")
        for column in ("text", "pair", "target")
        for text in batch[column].to_pylist()
    }
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                text = _held_out_text(line, f"{path}:{number}")
                if text not in own:
                    yield text
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected one held-out text a line") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error})") from None


def _held_out_text(line: str, place: str) -> str:
    try:
        return str(json.loads(line)["text"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{place}: found {line.strip()[:80]!r}, expected an object with id and text") from None
