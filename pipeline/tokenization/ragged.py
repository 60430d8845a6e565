"""Rows of token ids of unequal length, as two flat arrays on disk: memory-mapped, no padding, numpy only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files import InputError

UNLABELLED = -1


def smallest_dtype(vocabulary_size: int) -> np.dtype:
    """Return the smaller of uint16 and uint32 that holds every id below `vocabulary_size`."""
    return np.dtype(np.uint16 if vocabulary_size <= 2**16 else np.uint32)


@dataclass(frozen=True)
class TokenRows:
    """Token ids of N rows.

    ids: every row's ids after one another, uint16 or uint32, shape (tokens,).
    offsets: row i is `ids[offsets[i]:offsets[i + 1]]`; int64, shape (N + 1,).
    labels: index into the task's labels, UNLABELLED where there is none; int64, shape (N,).
    """

    ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> np.ndarray:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        row %= len(self)
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64, shape (N,)."""
        return np.diff(self.offsets)

    @classmethod
    def from_rows(
        cls, rows: Iterable[Sequence[int]], labels: Sequence[int] | np.ndarray, dtype: np.dtype
    ) -> "TokenRows":
        """Join `rows` of ids, one label each, into flat arrays; ids are kept as `dtype`."""
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        if len(arrays) != len(labels):
            raise ValueError(f"one label a row is needed, got {len(labels)} labels for {len(arrays)} rows")
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(array) for array in arrays], out=offsets[1:])
        ids = np.concatenate(arrays) if arrays else np.zeros(0, dtype=dtype)
        return cls(ids, offsets, np.asarray(labels, dtype=np.int64))

    def save(self, folder: Path) -> None:
        """Write `ids.npy`, `offsets.npy` and `labels.npy` into `folder`, made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("ids", "offsets", "labels"):
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "TokenRows":
        """Open what `save` wrote, memory-mapped and read-only; raise InputError where it is missing or does not fit."""
        ids, offsets, labels = (open_array(folder / f"{name}.npy") for name in ("ids", "offsets", "labels"))
        if len(offsets) != len(labels) + 1 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise InputError(
                f"{folder}: {len(ids)} ids, {len(offsets)} offsets and {len(labels)} labels, "
                "expected one offset more than labels and the last one at the end of the ids"
            )
        return cls(ids, offsets, labels)


def open_array(path: Path) -> np.ndarray:
    """Memory-map an npy file read-only (an empty one is read); raise InputError where it is missing or broken."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected token arrays written by the tokenize stages") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable npy file ({error})") from None
    return np.asarray(array) if array.size == 0 else array
