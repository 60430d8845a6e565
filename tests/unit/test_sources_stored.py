"""Rows in scratch files come back as they were, in order of their ids, from parts of any size."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import blocks, characters, stored, stored_sketches
from pipeline.sources.canonical import Row
from pipeline.sources.removed import EXAMPLES, Removed
from pipeline.sources.stored import SortedRuns, StoredRows, as_rows
from pipeline.sources.tagged import Span
from tests.unit.source_rows import dataset, part, sentences, splits_of

FULL = Row(
    "", "text", "pair", "a", ("a", "b"), (Span(0, 3, "x"),), "target", 0.1, "site", (("city", "Rome"),), "dev", "g"
)
BARE = Row("", "other text", None, None, None, None, None, None, "site", None, "train", None)
EMPTY = FULL._replace(labels=(), spans=(), metadata=(), text="电影 😀")


@pytest.mark.parametrize("run", [1, 40, 10**6])
def test_rows_come_back_in_order_of_their_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int) -> None:
    monkeypatch.setattr(stored, "RUN_CHARACTERS", run)
    monkeypatch.setattr(stored, "MERGED_CHARACTERS", 30)
    rows = [row._replace(id=f"{i:02}") for i, row in enumerate([FULL, BARE, EMPTY] * 5)]
    runs = SortedRuns(tmp_path / "runs")
    for row in random.Random(0).sample(rows, len(rows)):
        runs.add(row)
    assert (tmp_path / "runs").exists() == (run < 10**6), "what fits in memory is not written"
    merged = list(runs.merged())
    assert merged == rows
    assert all(type(row.spans) in (tuple, type(None)) and hash(row) for row in merged), "as a set takes them"


def test_marked_rows_are_read_by_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "BATCH_ROWS", 4)
    monkeypatch.setattr(stored, "BATCH_CHARACTERS", 30)
    monkeypatch.setattr(characters, "BATCH_CHARACTERS", 25)
    given_rows = [row._replace(id=f"{i:02}") for i, row in enumerate([FULL, BARE, EMPTY] * 5)]
    rows = StoredRows(tmp_path / "rows", given_rows)
    mask = np.isin(np.arange(15), [0, 3, 4, 5, 14])
    parts = list(rows.parts(mask))
    assert [part.numbers.tolist() for part in parts] == [[0], [3, 4], [5], [14]]
    assert [text for part in parts for text in part.texts] == [given_rows[i].compared for i in np.flatnonzero(mask)]
    assert [row for part in parts for row in as_rows(part.rows)] == [given_rows[i] for i in np.flatnonzero(mask)]
    assert rows.texts_at(np.array([4, 9])) == ["other text", "text\npair"]
    assert len(rows) == 15 and len(StoredRows(tmp_path / "none", [])) == 0


@settings(deadline=None, max_examples=6)
@given(st.data())
def test_parts_of_any_size_give_what_one_part_gives(data: st.DataObject) -> None:
    texts = sentences(60)
    chance = random.Random(data.draw(st.integers(0, 10**6)))
    texts += [f"{text} indeed" for text in chance.sample(texts, 9)] + [text.upper() for text in chance.sample(texts, 6)]
    texts += [text[:50] for text in chance.sample(texts, 6)] + chance.sample(texts, 5) + ["", "..."]
    raw = [part("rows.csv", texts, [chance.choice("01") for _ in texts])]
    before = Removed()
    whole = splits_of(raw, [texts[0]], dataset(), before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "RUN_CHARACTERS", data.draw(st.sampled_from([1, 500, 3000])))
        patch.setattr(stored, "MERGED_CHARACTERS", data.draw(st.sampled_from([1, 200])))
        patch.setattr(stored, "BATCH_ROWS", data.draw(st.integers(3, 40)))
        patch.setattr(stored_sketches, "SHARD_ROWS", data.draw(st.sampled_from([7, 1000])))
        patch.setattr(characters, "BATCH_CHARACTERS", data.draw(st.sampled_from([1, 300])))
        after = Removed()
        pieces = [part("rows.csv", [text], [label]) for text, label in zip(texts, raw[0].labels, strict=True)]
        assert splits_of(chance.sample(pieces, len(pieces)), [texts[0]], dataset(), after) == whole
    assert after.report() == before.report() and len(before.report()) > 3


def test_a_reason_keeps_its_first_ids_alone() -> None:
    removed = Removed()
    for i in random.Random(0).sample(range(100), 100):
        removed.add("why", [f"{i:02}", None])
    assert removed.report() == {"why": {"rows": 200, "examples": [f"{i:02}" for i in range(EXAMPLES)]}}


def test_columns_are_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 2)
    found = list(blocks.in_blocks(["a", "b"], [(i, str(i)) for i in range(5)]))
    assert found == [{"a": [0, 1], "b": ["0", "1"]}, {"a": [2, 3], "b": ["2", "3"]}, {"a": [4], "b": ["4"]}]
