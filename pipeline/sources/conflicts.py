"""Rows that are nearly the same and carry different labels, found among all rows of a dataset a shard at a time."""

from collections.abc import Iterator

import numpy as np

from pipeline.params import DecontaminationParams
from pipeline.sources.hashes import ranges
from pipeline.sources.similarity import similar
from pipeline.sources.stored import StoredRows
from pipeline.sources.stored_sketches import StoredSketches

PAIRS_AT_ONCE = 5_000


def conflicting(
    rows: StoredRows, sketches: StoredSketches, labels: np.ndarray, params: DecontaminationParams
) -> np.ndarray:
    """Return which rows are nearly the same as one with another label, bool (rows,).

    labels: a number for each row's label, int32 (rows,); -1 for a row that is not compared.
    """
    found = np.zeros(len(rows), dtype=bool)
    if len(np.unique(labels[labels >= 0])) < 2:
        return found
    for column in sketches.columns:
        for numbers, hashes in sketches.shards(column, labels >= 0):
            numbers, groups = _of_several_labels(numbers, hashes, labels)
            shingles = sketches.at(0, numbers)
            worded = shingles != 0
            if column == 0:
                found[numbers[worded]] = True
                continue
            kinds, kind_of = _kinds(groups[worded], shingles[worded], labels[numbers[worded]])
            near = _near_kinds(rows, sketches, column, numbers[worded][kinds], groups[worded][kinds], labels, params)
            found[numbers[worded][near[kind_of]]] = True
    return found


def _of_several_labels(numbers: np.ndarray, hashes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows whose hash stands beside several labels, those of a hash together, and a number for each hash."""
    order = np.argsort(hashes, kind="stable")
    numbers, hashes = numbers[order], hashes[order]
    begins = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])[: len(hashes)])
    if not len(begins):
        return numbers, np.zeros(0, np.int64)
    sizes = np.diff(np.append(begins, len(hashes)))
    own = labels[numbers]
    several = np.minimum.reduceat(own, begins) != np.maximum.reduceat(own, begins)
    return numbers[np.repeat(several, sizes)], np.repeat(np.arange(several.sum()), sizes[several])


def _kinds(groups: np.ndarray, shingles: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one row of each kind, rows of one group, shingles and label, in order of the groups; each row's kind.

    A thousand copies of a text are one kind of row, and not a million pairs.
    """
    order = np.lexsort([labels, shingles, groups])
    keys = [values[order] for values in (groups, shingles, labels)]
    differs = np.any([values[1:] != values[:-1] for values in keys], axis=0)
    begins = np.concatenate([[True], differs])[: len(order)]
    kind_of = np.zeros(len(order), np.int64)
    kind_of[order] = np.cumsum(begins) - 1
    return order[begins], kind_of


def _near_kinds(
    rows: StoredRows,
    sketches: StoredSketches,
    column: int,
    numbers: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
    params: DecontaminationParams,
) -> np.ndarray:
    """Return which rows, in order of their groups, are near one of the same group with another label; bool (rows,)."""
    near = np.zeros(len(numbers), dtype=bool)
    for left, right in _pairs(groups):
        wanted = labels[numbers[left]] != labels[numbers[right]]
        for earlier in sketches.columns[:column]:  # a pair that shares more was compared there
            left, right, wanted = left[wanted], right[wanted], wanted[wanted]
            wanted = sketches.at(earlier, numbers[left]) != sketches.at(earlier, numbers[right])
        left, right = left[wanted], right[wanted]
        if len(left):
            involved, places = np.unique(np.stack([numbers[left], numbers[right]], axis=1), return_inverse=True)
            alike = similar(rows.texts_at(involved), places.reshape(-1, 2), params)
            near[left[alike]] = near[right[alike]] = True
    return near


def _pairs(groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs within each group of a sorted array, some PAIRS_AT_ONCE at a time: two arrays of places."""
    places = np.arange(len(groups))
    behind = np.searchsorted(groups, groups, side="right") - places - 1
    total = np.cumsum(behind)
    start = 0
    while start < len(places):
        before = total[start] - behind[start]
        stop = max(start + 1, int(np.searchsorted(total, before + PAIRS_AT_ONCE, side="right")))
        counts = behind[start:stop]
        yield np.repeat(places[start:stop], counts), ranges(places[start:stop] + 1, counts)
        start = stop
