"""Rows of token ids of unequal length, as flat arrays on disk: memory-mapped, no padding, numpy only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from pipeline.files import InputError

UNLABELLED = -1


def smallest_dtype(vocabulary_size: int) -> np.dtype:
    """Return the smaller of uint16 and uint32 that holds every id below `vocabulary_size`."""
    return np.dtype(np.uint16 if vocabulary_size <= 2**16 else np.uint32)


@dataclass(frozen=True)
class TokenRows:
    """Token ids of N rows, each of one text or of a pair of them, and the M labels that tokens of theirs carry.

    A row of a table that is too long for one of these may be spread over several, in order: its windows.

    ids: every row's ids after one another, uint16 or uint32, shape (tokens,).
    offsets: row i is `ids[offsets[i]:offsets[i + 1]]`; int64, shape (N + 1,).
    labels: index into the task's classes, UNLABELLED where there is none; int64, shape (M,); where an answer is a
    number, that number between 0 and 1, float32; where it is any number of labels, 1 for each that it is and 0 for each
    that it is not, int8, shape (M, labels).
    targets: row i has `labels[targets[i]:targets[i + 1]]`; int64, shape (N + 1,).
    positions: the token of its row that carries each label, 0 ([CLS]) where it is the whole row's; int64, shape (M,).
    seconds: the token of each row that its second text begins with, the row's length where there is none; int64, (N,).
    owners: the row of the table that each row is from, never falling; int64, shape (N,).
    weights: how much each row counts in training, float32 (N,); None, which is no file, where all count alike.
    """

    ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    positions: np.ndarray
    seconds: np.ndarray
    owners: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

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

    def apart(self) -> "TokenRows":
        """Return both texts of each pair as unlabelled rows of their own: the first, its second, the next first, …"""
        ends = np.stack([self.offsets[:-1] + self.seconds, self.offsets[1:]], axis=1).ravel()
        labels = np.full(len(ends), UNLABELLED, dtype=np.int64)
        return TokenRows.one_label_each(self.ids, np.concatenate([[0], ends]), labels)

    def followed_by(self, others: "TokenRows") -> "TokenRows":
        """Return these rows, one for each row of a table, and behind them `others`, as if from further rows of it.

        Rows without weights count once.
        """

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(self, name), getattr(others, name)])

        weights = [
            np.ones(len(rows), dtype=np.float32) if rows.weights is None else rows.weights for rows in (self, others)
        ]
        weighted = self.weights is not None or others.weights is not None
        return TokenRows(
            ids=joined("ids"),
            offsets=np.concatenate([self.offsets, self.offsets[-1] + others.offsets[1:]]),
            labels=joined("labels"),
            targets=np.concatenate([self.targets, self.targets[-1] + others.targets[1:]]),
            positions=joined("positions"),
            seconds=joined("seconds"),
            owners=np.concatenate([self.owners, len(self) + others.owners]),
            weights=np.concatenate(weights) if weighted else None,
        )

    @classmethod
    def one_label_each(
        cls, ids: np.ndarray, offsets: np.ndarray, labels: np.ndarray, seconds: np.ndarray | None = None
    ) -> "TokenRows":
        """Return rows whose first token carries the label of the whole row; `labels` and `seconds` are int64 (N,)."""
        targets = np.arange(len(labels) + 1, dtype=np.int64)
        seconds = np.diff(offsets) if seconds is None else seconds
        positions, owners = np.zeros(len(labels), dtype=np.int64), np.arange(len(labels), dtype=np.int64)
        return cls(ids, offsets, labels, targets, positions, seconds, owners)

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
        return cls.one_label_each(ids, offsets, np.asarray(labels, dtype=np.int64))

    def save(self, folder: Path) -> None:
        """Write each array as NAME.npy into `folder`, made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            if (array := getattr(self, field.name)) is not None:
                np.save(folder / f"{field.name}.npy", array, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "TokenRows":
        """Open what `save` wrote, memory-mapped and read-only; raise InputError where it is missing or does not fit."""
        names = [field.name for field in fields(cls) if field.name != "weights" or (folder / "weights.npy").exists()]
        found = cls(**{name: open_array(folder / f"{name}.npy") for name in names})
        rows = len(found.offsets) - 1
        for name, ends, flat in (("offsets", found.offsets, found.ids), ("targets", found.targets, found.labels)):
            if rows < 0 or len(ends) != rows + 1 or ends[0] != 0 or ends[-1] != len(flat):
                raise InputError(
                    f"{folder}: {len(ends)} {name} of {rows} rows and {len(flat)} values, "
                    "expected one more than rows and the last one at the end of the values"
                )
        for name, values in (("seconds", found.seconds), ("owners", found.owners), ("weights", found.weights)):
            if values is not None and len(values) != rows:
                raise InputError(f"{folder}: {len(values)} {name} of {rows} rows, expected as many")
        if len(found.positions) != len(found.labels):
            raise InputError(
                f"{folder}: {len(found.labels)} labels and {len(found.positions)} positions, expected as many"
            )
        return found


def with_same_targets(first: TokenRows, second: TokenRows) -> tuple[TokenRows, TokenRows]:
    """Cut each row's labels to those that both have: the same rows in two tokenizers, one of which holds fewer."""
    kept = np.minimum(np.diff(first.targets), np.diff(second.targets))
    return _with_targets(first, kept), _with_targets(second, kept)


def _with_targets(rows: TokenRows, kept: np.ndarray) -> TokenRows:
    counts = np.diff(rows.targets)
    within = np.arange(len(rows.labels)) - np.repeat(rows.targets[:-1], counts)
    mask = within < np.repeat(kept, counts)
    targets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return replace(rows, labels=rows.labels[mask], targets=targets, positions=rows.positions[mask])


def open_array(path: Path) -> np.ndarray:
    """Memory-map an npy file read-only (an empty one is read); raise InputError where it is missing or broken."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected token arrays written by the tokenize stages") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable npy file ({error})") from None
    return np.asarray(array) if array.size == 0 else array
