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
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine import Engine
from pipeline.params import DatasetParams
from pipeline.schema import COUNTER_EXAMPLES, SPLITS
from pipeline.sources.characters import letters
from pipeline.sources.conflicts import conflicting
from pipeline.sources.decontamination import References, letters_key
from pipeline.sources.near_duplicates import band_shape, sketches
from pipeline.sources.removed import Removed
from pipeline.sources.stored import Part, StoredRows
from pipeline.sources.stored_sketches import StoredSketches

_OUT, _TRAIN, _DEV, _TEST = -1, 0, 1, 2


def split_rows(
    rows: StoredRows,
    held_out: Sequence[str],
    dataset: DatasetParams,
    removed: Removed,
    scratch: Path,
    engine: Engine = "local",
) -> np.ndarray:
    """Return each row's split as its place in SPLITS, -1 for what overlaps and goes to `removed`; int8 (rows,).

    Rows that the source itself gives to dev or test are there whatever their hash, counter-examples are of train; of
    these the label is no conflict with that of a row which they resemble: to differ from it is what they are for.
    Rows of a raw dataset leave whatever their split when they overlap with a text of the `held_out` list: all of it is
    corpus. Of one with answers the training rows leave. Dev rows that overlap with test leave, training rows that
    overlap with dev or test leave. `scratch` is a folder for files.
    """
    split = np.zeros(len(rows), dtype=np.int8)
    for part in rows.parts():
        split[part.numbers] = _splits_of(part, dataset)
    own = StoredSketches(scratch / "sketches", rows, dataset.decontamination, engine)

    for given in SPLITS:  # the label of a training row is no reason for a given test row to leave
        labels = _labels(rows, given, dataset)
        for part in rows.parts(conflicting(rows, own, labels, dataset.decontamination)):
            removed.add("conflicting labels", part.rows["id"].to_pylist())
            split[part.numbers] = _OUT

    comparisons = [([_DEV], [_TEST], False), ([_TRAIN], [_DEV, _TEST], True)]
    if dataset.is_raw:
        comparisons.insert(0, ([_DEV, _TEST], [], True))
    for leaving, standing, with_list in comparisons:
        stays, others = np.isin(split, standing), held_out if with_list else []
        if not stays.any() and not others:
            continue
        references = _references(rows, stays, others, own, dataset)
        for part in rows.parts(np.isin(split, leaving)):
            for reason, mask in references.overlaps(part.texts, own.of(part.numbers)).items():
                removed.add(reason, np.array(part.rows["id"])[mask].tolist())
                split[part.numbers[mask]] = _OUT
    return split


def _references(
    rows: StoredRows, stays: np.ndarray, others: Sequence[str], own: StoredSketches, dataset: DatasetParams
) -> References:
    """Return the rows that `stays` marks and other texts as what further rows are compared with."""
    params = dataset.decontamination
    texts = [text for part in rows.parts(stays) for text in part.texts]
    sketched = [own.of(np.flatnonzero(stays)), sketches(params, band_shape(params), others)]
    return References([*texts, *others], np.concatenate(sketched), params)


def _labels(rows: StoredRows, given: str, dataset: DatasetParams) -> np.ndarray:
    """Return the numbers of the labels that may conflict, of the rows that the source gives to one split; else -1."""
    labels = np.full(len(rows), -1, dtype=np.int32)
    # a pair's label may turn on the one word in which it differs from another, a marked text's on what is marked
    if dataset.row_labels and dataset.columns.pair is None and not dataset.markers:
        known = pa.array(dataset.row_labels)
        for numbers, batch in rows.chosen(np.ones(len(rows), dtype=bool)):
            own = pc.index_in(batch["label"], known).to_numpy()
            labels[numbers] = np.where(np.array(batch["given_split"]) == given, own, -1)
    return labels


def _splits_of(part: Part, dataset: DatasetParams) -> list[int]:
    characters = letters(part.texts)
    keys = (letters_key(characters, i, text) for i, text in enumerate(part.texts))
    given, groups = part.rows["given_split"].to_pylist(), part.rows["group"].to_pylist()
    return [_split_of(*row, dataset) for row in zip(given, groups, keys, strict=True)]


def _split_of(given: str, group: str | None, key: bytes, dataset: DatasetParams) -> int:
    if given == COUNTER_EXAMPLES:
        return _TRAIN
    if given != "train" or dataset.is_document:
        return SPLITS.index(given)
    if group is not None:
        key = hashlib.sha256(group.encode()).digest()
    # not the row's id: max_rows takes the smallest ids, which would all be of one split
    place, shares = int.from_bytes(key[:8], "big") / 2**64, dataset.split
    if place < shares.test:
        return _TEST
    return _DEV if place < shares.test + shares.dev else _TRAIN
