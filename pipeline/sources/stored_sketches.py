"""The sketches of stored rows, in scratch files beside them: together they may be more than memory holds."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.engine import Engine, map_in_order
from pipeline.params import DecontaminationParams
from pipeline.sources.near_duplicates import band_shape, sketches
from pipeline.sources.stored import StoredRows

SHARD_ROWS = 1_000_000


class StoredSketches:
    """The sketch of each row, a file for each of its hashes: that of all its shingles, then those of its bands."""

    def __init__(self, folder: Path, rows: StoredRows, params: DecontaminationParams, engine: Engine) -> None:
        """Make the sketches of `rows`, on Ray where `engine` says so, and write them to the new `folder`."""
        shape = band_shape(params)
        self._files = [folder / str(column) for column in range(1 + shape[0])]
        texts = (part.texts for part in rows.parts())
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(open(path, "wb")) for path in self._files]
            for found in map_in_order(functools.partial(sketches, params, shape), texts, engine=engine):
                for file, hashes in zip(opened, found.T, strict=True):
                    file.write(hashes.tobytes())

    @property
    def columns(self) -> range:
        """The columns of a sketch: 0 for the hash of all its shingles, the others for those of its bands."""
        return range(len(self._files))

    def at(self, column: int, numbers: np.ndarray) -> np.ndarray:
        """Return the hashes in one column of the rows with these numbers, uint64 (numbers,)."""
        return np.array(np.memmap(self._files[column], np.uint64, mode="r")[numbers])

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the sketches of the rows with these numbers, uint64 (numbers, columns)."""
        return np.stack([self.at(column, numbers) for column in self.columns], axis=1)

    def shards(self, column: int, mask: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows that `mask` marks in shards of about SHARD_ROWS; rows of one hash are in the same shard.

        Of each shard the numbers of its rows, int64, and their hashes in the column, uint64.
        """
        count = np.uint64(int(mask.sum()) // SHARD_ROWS + 1)
        for shard in range(int(count)):
            numbers, found = [], []
            for start in range(0, len(mask), SHARD_ROWS):
                hashes = np.fromfile(self._files[column], np.uint64, SHARD_ROWS, offset=8 * start)
                here = ((hashes >> np.uint64(32)) * count) >> np.uint64(32) == shard
                here &= mask[start : start + SHARD_ROWS]
                numbers.append(start + np.flatnonzero(here))
                found.append(hashes[here])
            yield np.concatenate(numbers), np.concatenate(found)
