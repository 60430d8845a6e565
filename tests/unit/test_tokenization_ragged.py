"""Rows of unequal length survive the disk unchanged and are mapped, not read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import InputError
from pipeline.tokenization.ragged import TokenRows, smallest_dtype, with_same_targets

ROWS = [[2, 7, 3], [], [2, 3]]


def test_rows_come_back_memory_mapped(tmp_path: Path) -> None:
    TokenRows.from_rows(ROWS, [1, -1, 0], smallest_dtype(100)).save(tmp_path)
    loaded = TokenRows.load(tmp_path)
    assert isinstance(loaded.ids, np.memmap) and loaded.ids.dtype == np.uint16
    assert [row.tolist() for row in loaded] == ROWS
    assert loaded[-1].tolist() == [2, 3]
    assert loaded.labels.tolist() == [1, -1, 0]
    assert loaded.lengths.tolist() == [3, 0, 2]
    assert loaded.owners.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        loaded.ids[0] = 1
    with pytest.raises(IndexError):
        loaded[3]


def test_a_row_of_two_tokenizers_keeps_the_labels_that_both_have_room_for() -> None:
    ids, offsets = np.arange(6, dtype=np.uint16), np.array([0, 3, 6])
    rest = (np.diff(offsets), np.arange(2))
    first = TokenRows(ids, offsets, np.array([5, 6, 7]), np.array([0, 2, 3]), np.array([1, 2, 1]), *rest)
    second = TokenRows(ids, offsets, np.array([5, 7, 8]), np.array([0, 1, 3]), np.array([2, 1, 2]), *rest)
    one, other = with_same_targets(first, second)
    assert one.labels.tolist() == other.labels.tolist() == [5, 7]
    assert one.targets.tolist() == other.targets.tolist() == [0, 1, 2]
    assert (one.positions.tolist(), other.positions.tolist()) == ([1, 1], [2, 1])


def test_no_rows_are_rows_too(tmp_path: Path) -> None:
    TokenRows.from_rows([], [], smallest_dtype(100)).save(tmp_path)
    assert len(TokenRows.load(tmp_path)) == 0


def test_ids_take_two_bytes_where_they_fit() -> None:
    assert smallest_dtype(2**16) == np.uint16
    assert smallest_dtype(2**16 + 1) == np.uint32


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ids\.npy: no such file"):
        TokenRows.load(tmp_path)
    TokenRows.from_rows(ROWS, [1, -1, 0], smallest_dtype(100)).save(tmp_path)
    np.save(tmp_path / "labels.npy", np.zeros(5, dtype=np.int64))
    with pytest.raises(InputError, match="4 targets of 3 rows and 5 values, expected one more than rows"):
        TokenRows.load(tmp_path)
    np.save(tmp_path / "targets.npy", np.array([0, 2, 2, 5]))
    with pytest.raises(InputError, match="5 labels and 3 positions, expected as many"):
        TokenRows.load(tmp_path)
    np.save(tmp_path / "positions.npy", np.zeros(5, dtype=np.int64))
    np.save(tmp_path / "owners.npy", np.array([0, 1]))
    with pytest.raises(InputError, match="2 owners of 3 rows, expected as many"):
        TokenRows.load(tmp_path)
    (tmp_path / "labels.npy").write_bytes(b"\x93NUMPY but not really")
    with pytest.raises(InputError, match=r"labels\.npy: not a readable npy file"):
        TokenRows.load(tmp_path)


def test_weights_are_a_file_where_rows_have_them_and_rows_behind_them_count_once(tmp_path: Path) -> None:
    plain = TokenRows.from_rows([[2, 3], [2, 4, 3]], [0, 1], np.dtype(np.uint16))
    weighted = replace(plain, weights=np.array([0.5, 2.0], dtype=np.float32))
    for rows in (plain, weighted):
        rows.save(tmp_path / str(rows.weights is None))
    assert TokenRows.load(tmp_path / "True").weights is None and not (tmp_path / "True/weights.npy").exists()
    assert TokenRows.load(tmp_path / "False").weights.tolist() == [0.5, 2.0]
    assert weighted.followed_by(plain).weights.tolist() == [0.5, 2.0, 1.0, 1.0]
    assert plain.followed_by(weighted).weights.tolist() == [1.0, 1.0, 0.5, 2.0]
    assert plain.followed_by(plain).weights is None
    np.save(tmp_path / "False/weights.npy", np.ones(3, dtype=np.float32), allow_pickle=False)
    with pytest.raises(InputError, match="3 weights of 2 rows, expected as many"):
        TokenRows.load(tmp_path / "False")
