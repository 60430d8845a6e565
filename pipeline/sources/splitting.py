"""Splits that stay honest while data grow, and the rows that have to leave for it.

A row's split follows from the hash of its own letters, or of its group where rows have one. Near-duplicates belong to
the most held-out split that one of them hashes to (test before dev before train), and those that hash elsewhere leave.
Leaving instead of moving is what makes the promise hold: new rows can take a row out, but never move one from test to
train or from train to test, so a row that is in test today has been trained on by no earlier version. The price is a
training row for each near-duplicate of a held-out one; and a row whose near-duplicate arrives later was trained on
before it left.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from pipeline.engine import Engine
from pipeline.files import InputError
from pipeline.params import DatasetParams
from pipeline.schema import COUNTER_EXAMPLES, SPLITS
from pipeline.sources.canonical import Removed, Row
from pipeline.sources.characters import Characters, letters
from pipeline.sources.containment import contained
from pipeline.sources.similarity import NearDuplicates

_OUT, _TRAIN, _DEV, _TEST, _HELD_OUT_LIST = -1, 0, 1, 2, 3


def split_rows(
    rows: list[Row], held_out: Sequence[str], dataset: DatasetParams, removed: Removed, engine: Engine = "local"
) -> dict[str, list[Row]]:
    """Return the rows of train, dev and test; what overlaps goes to `removed` with its reason.

    Rows that the source itself gives to dev or test are there whatever their hash, counter-examples are of train; of
    these the label is no conflict with that of a row which they resemble: to differ from it is what they are for.
    Rows of a raw dataset leave whatever their split when they overlap with a text of the `held_out` list: all of it is
    corpus. Of one with answers the training rows leave. Dev rows that overlap with test leave, training rows that
    overlap with dev or test leave.
    """
    texts = [row.compared for row in rows] + list(held_out)
    overlap = _Overlap(texts, dataset, engine)
    split = np.full(len(texts), _HELD_OUT_LIST)
    split[: len(rows)] = [_split_of(row, key, dataset) for row, key in zip(rows, overlap.keys, strict=False)]
    ids = np.array([row.id for row in rows] + [""] * len(held_out))

    def leave(reason: str, leaving: np.ndarray) -> None:
        removed.add(reason, ids[leaving].tolist())
        split[leaving] = _OUT

    for given in SPLITS:  # the label of a training row is no reason for a given test row to leave
        # a pair's label may turn on the one word in which it differs from another, a marked text's on what is marked
        told = [row.given_split == given and row.pair is None and not dataset.markers for row in rows]
        labels = [row.label if counts else None for row, counts in zip(rows, told, strict=True)]
        leave("conflicting labels", overlap.conflicts(labels))
    overlapping_splits = [([_DEV], [_TEST]), ([_TRAIN], [_DEV, _TEST, _HELD_OUT_LIST])]
    if dataset.is_raw:
        overlapping_splits.insert(0, ([_DEV, _TEST], [_HELD_OUT_LIST]))
    for leaving, standing in overlapping_splits:
        for reason, mask in overlap.between(np.isin(split, leaving), np.isin(split, standing)).items():
            leave(reason, mask & (split != _OUT))
    return {name: [rows[i] for i in np.flatnonzero(split == code)] for code, name in enumerate(SPLITS)}


class _Overlap:
    """How texts overlap: by similarity of their words, and by the letters of one standing inside another."""

    def __init__(self, texts: list[str], dataset: DatasetParams, engine: Engine) -> None:
        self.letters = letters(texts)
        self.keys = [_key(self.letters, i, text) for i, text in enumerate(texts)]
        self._near = NearDuplicates(texts, dataset.decontamination, engine)
        self._min_letters = dataset.decontamination.min_letters

    def conflicts(self, labels: list[str | None]) -> np.ndarray:
        """Return which texts are nearly the same as one with another label; bool (texts,)."""
        result = np.zeros(len(self.letters.offsets) - 1, dtype=bool)
        padded = np.array([label or "" for label in labels] + [""] * (len(result) - len(labels)))
        for label in sorted(set(labels) - {None}, key=str):
            result |= self._near.near(padded == label) & (padded != label) & (padded != "")
        return result

    def between(self, leaving: np.ndarray, standing: np.ndarray) -> dict[str, np.ndarray]:
        """Return for each reason which of the `leaving` texts overlap with one of the `standing`; bool (texts,)."""
        rows, references = np.flatnonzero(leaving), np.flatnonzero(standing)
        inside = contained(self.letters, references, rows, self._min_letters)[:, 1]
        phrases = contained(self.letters, rows, references, self._min_letters)[:, 0]
        standing_keys = {self.keys[i] for i in references}
        same_letters = np.array([key in standing_keys for key in self.keys], dtype=bool)
        indices = np.arange(len(leaving))
        return {
            "contains a held-out text": np.isin(indices, inside),
            "phrase of a held-out text": np.isin(indices, phrases),
            "near-duplicate of a held-out text": (self._near.near(standing) | same_letters) & leaving,
        }


def _key(characters: Characters, i: int, text: str) -> bytes:
    """Return a hash of a text's letters, so that case does not count, or of the text where it has none."""
    codes = characters.codes[characters.offsets[i] : characters.offsets[i + 1]]
    return hashlib.sha256(codes.astype("<u4").tobytes() if len(codes) else text.encode("utf-32-le")).digest()


def _split_of(row: Row, key: bytes, dataset: DatasetParams) -> int:
    if row.given_split == COUNTER_EXAMPLES:
        return _TRAIN
    if row.given_split != "train" or dataset.is_document:
        return SPLITS.index(row.given_split)
    if row.group is not None:
        key = hashlib.sha256(row.group.encode()).digest()
    # not the row's id: max_rows takes the smallest ids, which would all be of one split
    place, shares = int.from_bytes(key[:8], "big") / 2**64, dataset.split
    if place < shares.test:
        return _TEST
    return _DEV if place < shares.test + shares.dev else _TRAIN


def check_splits(name: str, splits: dict[str, list[Row]], dataset: DatasetParams) -> None:
    """Raise InputError where a split that should have rows has none, or one made by its share has none of a class."""
    shares = {"train": 1.0, "dev": dataset.split.dev, "test": dataset.split.test}
    total = sum(len(rows) for rows in splits.values())
    for split, rows in splits.items():
        found = {label for row in rows for label in (row.label, *(row.labels or ()))}
        # a rare one among several labels may stand in none of the few rows of dev or test
        expected = dataset.row_labels + (dataset.set_labels if split == "train" else [])
        lacking = [f"no row of class {label!r}" for label in expected if label not in found]
        if shares[split] and (lacking or not rows):
            what = lacking[0] if lacking else "no row"
            share = split if split != "train" else "dev and split.test"
            raise InputError(
                f"{name}: {total} rows are too few to split: {split} has {what}, expected at least one; "
                f"give more rows or a larger share (split.{share})"
            )
        if split in dataset.given_splits and not rows:
            raise InputError(f"{name}: no row of {split} is left, expected some (source.files.{split})")
