"""Tables have the bytes that pyarrow gives the same rows from memory, however they are put together."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.schema import CANONICAL
from pipeline.sources import tables
from pipeline.sources.canonical import Row
from pipeline.sources.stored import StoredRows
from pipeline.sources.tables import Contents, write_table
from pipeline.sources.tagged import Span


def rows(count: int) -> list[Row]:
    """Return rows with all that a row may hold, some of it missing here and there."""
    chance = random.Random(0)

    def row(i: int) -> Row:
        text = f"{i} {'naïve 电影 ' * chance.randrange(6)}"
        spans = tuple(Span(k, k + 1, f"s{k}") for k in range(i % 4))
        own = (f"l{i % 7}", f"m{i % 3}")[: i % 3]
        there = bool(i % 5)
        return Row(
            f"{i:016}", text, text[::-1] if there else None, f"l{i % 2}", own, spans, text if i % 2 else None,
            i / 7 if there else None, "site", (("c", str(i)),) if there else None, "train", None,
        )  # fmt: skip

    return [row(i) for i in range(count)]


def from_memory(path: Path, chosen: list[Row], group_rows: int) -> bytes:
    arrays = [pa.array([getattr(row, field.name) for row in chosen], field.type) for field in CANONICAL]
    table = pa.Table.from_arrays(arrays, schema=CANONICAL)
    pq.write_table(table, path, compression="zstd", row_group_size=group_rows)
    return path.read_bytes()


def test_a_column_of_many_pages_has_the_bytes_of_one_in_memory(tmp_path: Path) -> None:
    """A hundred thousand ids are more than a dictionary of Parquet holds and several pages of it."""
    given = rows(100_000)
    stored = StoredRows(tmp_path / "rows", given)
    mask = np.arange(len(given)) % 10 > 0
    found = write_table(tmp_path / "table", stored, mask, tmp_path / "scratch")
    assert found == Contents(90_000, frozenset({"l0", "l1", "l2", "l3", "l4", "l5", "l6", "m2"}))
    chosen = [row for row, wanted in zip(given, mask, strict=True) if wanted]
    assert (tmp_path / "table").read_bytes() == from_memory(tmp_path / "memory", chosen, tables.GROUP_ROWS)


@pytest.mark.parametrize("count", [0, 1, 2000, 2500])
def test_row_groups_are_those_of_a_table_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(tables, "GROUP_ROWS", 1000)
    given = rows(2500)
    mask = np.arange(len(given)) < count
    write_table(tmp_path / "table", StoredRows(tmp_path / "rows", given), mask, tmp_path / "scratch")
    assert (tmp_path / "table").read_bytes() == from_memory(tmp_path / "memory", given[:count], 1000)
    assert not list((tmp_path / "scratch").iterdir())


def test_texts_beyond_what_one_array_holds_are_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MOST_BYTES", 200)
    given = rows(300)
    write_table(
        tmp_path / "table", StoredRows(tmp_path / "rows", given), np.ones(300, dtype=bool), tmp_path / "scratch"
    )
    from_memory(tmp_path / "memory", given, 1000)
    assert pq.read_table(tmp_path / "table").equals(pq.read_table(tmp_path / "memory"))
