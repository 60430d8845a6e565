"""Every reader of Parquet holds a few batches of a file, however many rows it has."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.params import ColumnsParams
from pipeline.schema import CANONICAL
from pipeline.sources.parquet import read_parquet
from pipeline.tokenization.table import text_batches, written_batches
from pipeline.validation.reading import read_batches

GROUP = 2_000  # rows; ingest writes groups of some thousand
READERS: dict[str, Callable[[Path], Iterator[object]]] = {
    "ingest": lambda path: read_parquet(path, ColumnsParams(text="text")),
    "validate": read_batches,
    "tokenize": text_batches,
    "train_tokenizer": written_batches,
}


@pytest.mark.parametrize("stage", READERS)
def test_memory_does_not_grow_with_the_groups_of_rows(tmp_path: Path, stage: str) -> None:
    peaks = []
    for groups in (10, 100):
        path = tmp_path / f"{groups}.parquet"
        with pq.ParquetWriter(path, CANONICAL, compression="none") as writer:
            for group in range(groups):
                texts = [f"{group} {row} " * 20 for row in range(GROUP)]
                given = {"id": [f"{group}-{row}" for row in range(GROUP)], "text": texts, "source": ["a"] * GROUP}
                columns = [pa.array(given.get(field.name, [None] * GROUP), field.type) for field in CANONICAL]
                writer.write_table(pa.table(columns, schema=CANONICAL))
        peaks.append(peak_of_arrow(READERS[stage](path)))
    assert peaks[1] < 1.5 * peaks[0], peaks


def peak_of_arrow(batches: Iterator[object]) -> int:
    before = pa.total_allocated_bytes()
    return max(pa.total_allocated_bytes() - before for _ in batches)
