"""The splits without the rows that were set aside, and these rows with their reasons."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.files import InputError
from pipeline.schema import CANONICAL, SPLITS
from pipeline.validation.reading import read_batches


def set_rows_aside(rows: Path, reasons: Mapping[str, str], out: Path, quarantine: Path) -> dict[str, int]:
    """Copy `rows`/SPLIT.parquet to `out`/SPLIT.parquet, the rows named in `reasons` to the file `quarantine` instead.

    `reasons` gives each such row's reason by its id. Returns the rows left in each split; raises InputError where no
    training row is left.
    """
    out.mkdir(parents=True)
    identifiers = pa.array(reasons, pa.string())
    left = dict.fromkeys(SPLITS, 0)
    with pq.ParquetWriter(quarantine, CANONICAL.append(pa.field("reason", pa.string())), compression="zstd") as aside:
        for split in SPLITS:
            with pq.ParquetWriter(out / f"{split}.parquet", CANONICAL, compression="zstd") as kept:
                for batch in read_batches(rows / f"{split}.parquet"):
                    batch = batch.cast(CANONICAL)
                    fallen = pc.is_in(batch["id"], value_set=identifiers)
                    going_on = batch.filter(pc.invert(fallen))
                    left[split] += len(going_on)
                    kept.write_batch(going_on)
                    _write_with_reason(aside, batch.filter(fallen), reasons)
    if not left["train"]:
        raise InputError(f"{rows / 'train.parquet'}: found no row that passes the checks, expected rows to train on")
    return left


def _write_with_reason(writer: pq.ParquetWriter, batch: pa.RecordBatch, reasons: Mapping[str, str]) -> None:
    if len(batch):
        column = pa.array([reasons[identifier.as_py()] for identifier in batch["id"]], pa.string())
        writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, column], schema=writer.schema))
