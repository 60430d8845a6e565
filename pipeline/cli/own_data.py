"""`stillhouse use --data FILE`: a params.yaml for rows of one's own, from the one that stands there.

The task and the corpus are the same dataset: its labelled rows teach the task, its text is what pretraining reads.
"""

import io
import re
import shutil
import statistics
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ruamel.yaml import YAML

from pipeline.cli.preflight import check_project
from pipeline.cli.recipe import PARAMS, replace_params
from pipeline.drivers import dvc, environment
from pipeline.files import InputError, replacing
from pipeline.params import ColumnsParams, LocalSource, check_params

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet"}
RAW = Path("data/raw")
SPLIT = {"dev": 0.1, "test": 0.2}
MINIMUM_ROWS = 200  # leaves 20 rows to choose by and 40 to measure on
MINIMUM_ROWS_OF_A_CLASS = 20
MAXIMUM_CLASSES = 100


@dataclass(frozen=True)
class Labelled:
    """What was found in a file: rows with a text per label, and their texts' lengths in words."""

    counts: dict[str, int]
    words: list[int]


def use_data(data: Path, *, text: str, label: str, name: str | None, force: bool) -> None:
    """Copy `data` to data/raw/, let DVC track it, and write a params.yaml that trains on it.

    Raises InputError for a file that cannot be read, a missing column, one class, too many, or too few rows.
    """
    check_project()
    kind = FORMATS.get(data.suffix.lower())
    if kind is None:
        raise InputError(f"{data}: ends in {data.suffix or 'nothing'!r}, expected one of {sorted(FORMATS)}")
    name = name or re.sub(r"[^a-z0-9]+", "-", data.stem.lower()).strip("-")
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"--name: must be lower-case letters, digits, - and _, got {name!r}")
    found = _examine(data, kind, text, label)
    target = RAW / f"{name}{data.suffix.lower()}"
    parameters = _parameters(target, kind, name, text, label, found)
    replace_params(parameters, force)
    _track(data, target)
    print(f"{data}: {sum(found.counts.values()):,} rows, labels {_counted(found.counts)}")
    print(f"params.yaml now trains task {name!r} on {target}; `make run` does the rest")


def _examine(data: Path, kind: str, text: str, label: str) -> Labelled:
    from pipeline.sources.reading import read_source

    if not data.is_file():
        raise InputError(f"{data}: no such file, expected your rows")
    # ingest will read the copy in data/raw/ the same way; the columns are its own check too
    with replacing_nothing(data) as readable:
        rows = read_source(
            LocalSource(kind="file", format=cast(Any, kind)), readable, ColumnsParams(text=text, label=label, source=None)
        )
    pairs = {(row, value) for row, value in zip(rows.texts, rows.labels, strict=True) if row and row.strip()}
    unlabelled = sum(not value for _, value in pairs)
    if unlabelled:
        raise InputError(f"{data}: {unlabelled} rows have no {label}, expected a label in each row")
    counts = Counter(str(value) for _, value in pairs)
    return Labelled(dict(sorted(counts.items())), [len(str(row).split()) for row, _ in pairs])
