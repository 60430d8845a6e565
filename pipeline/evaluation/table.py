"""The labelled rows of a split, as the canonical table holds them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipeline.files import InputError


@dataclass(frozen=True)
class LabelledTexts:
    """Rows of one split in the order of their file; `labels` are indices into the task's labels, int64 (rows,)."""

    ids: list[str]
    texts: list[str]
    labels: np.ndarray
    sources: list[str]


def read_labelled_texts(path: Path, labels: list[str]) -> LabelledTexts:
    """Read a canonical table; raise InputError where it is missing, empty or has a label that is none of `labels`."""
    try:
        columns = pq.read_table(path, columns=["id", "text", "label", "source"]).to_pydict()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a table written by validate") from None
    if not columns["id"]:
        raise InputError(f"{path}: no rows, expected at least one")
    index = {label: position for position, label in enumerate(labels)}
    for id_, label in zip(columns["id"], columns["label"], strict=True):
        if label not in index:
            raise InputError(f"{path}: row {id_}: label {label!r}, expected one of {labels}")
    numbers = np.array([index[label] for label in columns["label"]], dtype=np.int64)
    return LabelledTexts(columns["id"], columns["text"], numbers, columns["source"])


def read_texts(path: Path) -> list[str]:
    """Read the texts of a table that has no labels, in the order of the file."""
    return [str(text) for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
