"""An npy file that grows by rows, so that an array need not fit into memory; numpy only."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np


@contextlib.contextmanager
def growing_array(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> Iterator[Callable[[np.ndarray], int]]:
    """Give what appends rows, (n, *shape), to the new file `path` and returns how many there are by then.

    At the end the file has the bytes that `np.save` would have given all rows together.
    """
    rows = 0
    with open(path, "wb") as file:
        _write_header(file, (0, *shape), dtype)

        def append(more: np.ndarray) -> int:
            nonlocal rows
            if more.shape[1:] != shape or more.dtype != dtype:
                raise ValueError(f"rows of {more.dtype} {more.shape[1:]}, expected {dtype} {shape}")
            file.write(np.ascontiguousarray(more).data)
            rows += len(more)
            return rows

        yield append
        file.seek(0)
        _write_header(file, (rows, *shape), dtype)


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    # numpy leaves room in it for any number of rows: the second one has the length of the first
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
