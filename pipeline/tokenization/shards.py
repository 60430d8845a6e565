"""Packed sequences in shards on shared storage, for a corpus that no disk of a training machine has room for.

A shard is an npy file whose name is the sha256 of its bytes, so that a list of names says what the corpus is.
"""

import bisect
import contextlib
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from pipeline.files import read_json, replacing, sha256_of_file, write_json
from pipeline.storage import Storage
from pipeline.tokenization.ragged import open_array
from pipeline.tokenization.windows import WindowedBatches

KEY = "corpus.shards.url"
MANIFEST = "shards.json"  # the list of names, in the order of the rows
CACHE = Path(".stillhouse/shards")  # what a training machine has of them
HEADER = 128  # bytes that numpy puts before the rows


def write_shard(storage: Storage, rows: np.ndarray) -> str:
    """Write rows as a shard and return its sha256; one that stands there is written again."""
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    sha256 = hashlib.sha256(buffer.getbuffer()).hexdigest()
    buffer.seek(0)
    storage.send(f"{sha256}.npy", buffer)
    return sha256


@contextlib.contextmanager
def growing_shards(
    manifest: Path, shape: tuple[int, ...], dtype: np.dtype, *, url: str, megabytes: float, window: int
) -> Iterator[Callable[[np.ndarray], int]]:
    """Give what appends rows, (n, *shape), to shards at `url` and returns how many there are by then.

    Each shard is as large as `megabytes` allows, the last one is what remains. At the end `manifest` names them all;
    it says nothing of `url`, so that shards may move. window: shards whose rows training shuffles together.
    """
    storage, shards = Storage(url, KEY), []
    block = np.empty((max(1, int(megabytes * 1e6 - HEADER) // (dtype.itemsize * int(np.prod(shape)))), *shape), dtype)
    rows = filled = 0

    def append(more: np.ndarray) -> int:
        nonlocal rows, filled
        if more.shape[1:] != shape or more.dtype != dtype:
            raise ValueError(f"rows of {more.dtype} {more.shape[1:]}, expected {dtype} {shape}")
        rows += len(more)
        while len(more):
            taken, more = np.split(more, [len(block) - filled])
            block[filled : filled + len(taken)] = taken
            filled += len(taken)
            if filled == len(block):
                store()
        return rows

    def store() -> None:
        nonlocal filled
        shards.append({"sha256": write_shard(storage, block[:filled]), "rows": filled})
        filled = 0

    yield append
    if filled:
        store()
    write_json(manifest, {"shape": shape, "window": window, "shards": shards})


class ShardedRows(Sequence[np.ndarray]):
    """The rows, (length,) each, of all shards that a manifest names, fetched from `url` as they are needed.

    At most `window` shards lie in the folder `cache`, which the processes of a machine share. Rows read in the order
    of `batches` have each shard fetched once a pass. Reading one raises InputError where its shard is gone or changed.
    shape: (rows, length), as an array of all of them would have.
    """

    def __init__(self, manifest: Path, url: str, cache: Path = CACHE) -> None:
        found = read_json(manifest)
        self.storage, self.cache, self.window = Storage(url, KEY), cache, int(found["window"])
        self.names = [shard["sha256"] for shard in found["shards"]]
        self.counts = np.array([shard["rows"] for shard in found["shards"]], dtype=np.int64)
        self.ends: list[int] = np.cumsum(self.counts).tolist()
        self.shape = (self.ends[-1], *found["shape"])
        self.opened: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        if not 0 <= row < self.shape[0]:
            raise IndexError(f"row {row} of {self.shape[0]}")
        shard = bisect.bisect_right(self.ends, row)
        rows = self.opened[shard] if shard in self.opened else self._fetched(shard)
        return rows[row - self.ends[shard]].copy()  # from the end; a view would keep the file on the disk

    def batches(self, batch_size: int, generator: np.random.Generator) -> WindowedBatches:
        """Return the rows of each batch of one pass."""
        return WindowedBatches(self.counts, self.window, batch_size, generator)

    def _fetched(self, shard: int) -> np.ndarray:
        """Return the rows of a shard that was not opened yet, which takes the place of the one opened first."""
        if len(self.opened) == self.window:  # one that is mapped keeps its room on the disk
            del self.opened[next(iter(self.opened))]
        self.opened[shard] = self._open(self.names[shard])
        return self.opened[shard]

    def _open(self, sha256: str) -> np.ndarray:
        file = self.cache / f"{sha256}.npy"
        self.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(self.cache / "lock"):
            if not file.exists() or sha256_of_file(file) != sha256:
                self._make_room()
                with replacing(file) as draft:
                    self.storage.fetch(f"{sha256}.npy", draft, sha256)
            os.utime(file, ns=(time.time_ns(), time.time_ns()))  # to the nanosecond, by which the oldest is found
            return np.asarray(open_array(file))  # numpy's class for memory maps takes 5 us more for each row

    def _make_room(self) -> None:
        for draft in self.cache.glob(".*"):  # of a process that was killed: whoever writes one holds the lock
            draft.unlink()
        shards = sorted(self.cache.glob("*.npy"), key=lambda file: file.stat().st_mtime_ns)
        for file in shards[: max(0, len(shards) - self.window + 1)]:
            file.unlink()
