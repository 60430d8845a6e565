"""A training stage's history as a file: what `register` gives MLflow, and what `dvc plots` draws."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.files import write_json


def write_history(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write records, each a step of a split, with the keys of all of them, null where one has no such figure.

    DVC draws no list whose records have different keys.
    """
    keys = sorted({key for record in records for key in record})
    write_json(path, [{key: record.get(key) for key in keys} for record in records])
