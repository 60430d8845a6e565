"""A file that grows by rows ends with the bytes that numpy gives the whole array."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.tokenization.growing import growing_array


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("counts", [(), (0,), (3, 0, 9_999, 1)])
def test_the_bytes_are_those_of_save(tmp_path: Path, counts: tuple[int, ...], dtype: type) -> None:
    generator = np.random.default_rng(0)
    parts = [generator.integers(0, 2**16, size=(count, 7)).astype(dtype) for count in counts]
    with growing_array(tmp_path / "grown.npy", (7,), np.dtype(dtype)) as append:
        assert [append(part) for part in parts] == np.cumsum(counts).tolist()
    np.save(tmp_path / "saved.npy", np.concatenate([np.zeros((0, 7), dtype), *parts]))
    assert (tmp_path / "grown.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()


def test_columns_of_a_longer_array_grow_as_well(tmp_path: Path) -> None:
    rows = np.arange(60, dtype=np.uint16).reshape(10, 6)
    with growing_array(tmp_path / "grown.npy", (3,), np.dtype(np.uint16)) as append:
        append(rows[:, :3])
    assert np.array_equal(np.load(tmp_path / "grown.npy"), rows[:, :3])


def test_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    with growing_array(tmp_path / "grown.npy", (3,), np.dtype(np.uint16)) as append:
        for rows in (np.zeros((2, 4), np.uint16), np.zeros((2, 3), np.uint32)):
            with pytest.raises(ValueError, match="expected uint16"):
                append(rows)
