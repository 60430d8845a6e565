"""Rows as a source has them, and the parameters of a dataset that reads them."""

import random
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.params import DatasetParams
from pipeline.schema import SPLITS
from pipeline.sources.canonical import CountedRows, Row
from pipeline.sources.reading import SourceRows
from pipeline.sources.removed import Removed
from pipeline.sources.splitting import split_rows
from pipeline.sources.stored import as_rows, canonical_rows
from pipeline.sources.tagged import Span

WORDS = ["stone", "river", "lantern", "copper", "meadow", "violin", "harbour", "winter", "pepper", "castle", "marble"]


def dataset(**changes: object) -> DatasetParams:
    values: dict[str, object] = {
        "path": "data/raw/rows.csv",
        "held_out": "none",
        "source": {"kind": "file", "format": "csv", **dict.fromkeys(("header", "files", "origin"))},
        "columns": {"text": "text", "label": "label"},
        "line_breaks": "space",
        "only_sources": None,
        "labels": {"0": "negative", "1": "positive"},
        "split": {"dev": 0.2, "test": 0.3},
        "decontamination": {"min_letters": 24, "similarity": 0.8, "shingle_words": 3, "permutations": 64},
        "validation": {
            "policy": "fail",
            "max_quarantined_share": 0.0,
            "min_characters": 1,
            "max_characters": 1000,
            "min_label_share": 0.0,
            "max_damaged_share": 0.0,
            "min_letter_share": 0.0,
            "max_label_noise": 1.0,
            "max_drift": 1.0,
        },
        "max_rows": None,
    }
    return DatasetParams.model_validate(values | changes)


RAW = {"columns": {"text": "text"}, "labels": None}


GIVEN = {
    "source": {"kind": "file", "format": "slots", "header": None, "origin": None}
    | {"files": {"train": ["train.txt"], "dev": ["dev.txt"], "test": ["test.txt"]}},
    "split": {"dev": 0.0, "test": 0.0},
}


def sentences(count: int, seed: int = 0, words: int = 12) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choice(WORDS) for _ in range(words)) for _ in range(count)]


def part(
    name: str,
    texts: list[str],
    labels: list[str | None] | None = None,
    split: str = "train",
    spans: list[list[Span]] | None = None,
    **others: list[str | None],
) -> SourceRows:
    """Return rows of which the other columns are empty, or those given by the names of SourceRows in `others`."""
    nothing: list[Any] = [None] * len(texts)
    values = dict.fromkeys(SourceRows._fields, nothing) | {"labels": labels or nothing, "spans": spans or nothing}
    return SourceRows(**values | {"name": name, "split": split, "first": 1, "texts": texts} | others)


def canonical(raw: Iterable[SourceRows], section: DatasetParams, removed: Removed) -> list[Row]:
    """Return the rows that the stage keeps in a scratch file."""
    with tempfile.TemporaryDirectory() as folder:
        rows = canonical_rows(CountedRows(raw), "rows", section, removed, Path(folder))
        return [row for _, batch in rows.chosen(np.ones(len(rows), dtype=bool)) for row in as_rows(batch)]


def splits_of(
    raw: Iterable[SourceRows], held_out: Sequence[str], section: DatasetParams, removed: Removed
) -> dict[str, list[Row]]:
    """Return the rows of each split."""
    with tempfile.TemporaryDirectory() as folder:
        rows = canonical_rows(CountedRows(raw), "rows", section, removed, Path(folder))
        split = split_rows(rows, held_out, section, removed, Path(folder))
        return {
            name: [row for _, batch in rows.chosen(split == place) for row in as_rows(batch)]
            for place, name in enumerate(SPLITS)
        }
