"""The canonical table: one row per text, its id made from the text itself, whatever the source looked like."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import InputError
from pipeline.params import DatasetParams
from pipeline.sources.cleaning import clean_text
from pipeline.sources.reading import SourceRows

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.string()), ("source", pa.string())])
EXAMPLES = 20


class Row(NamedTuple):
    """A row of the canonical table; `id` is 16 hexadecimal digits of the cleaned text's sha256."""

    id: str
    text: str
    label: str | None
    source: str


class Removed:
    """Rows that left, and why: a count per reason, and the ids where the rows still had a text."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._ids: dict[str, set[str]] = {}

    def add(self, reason: str, ids: Iterable[str | None]) -> None:
        """Note one row per id; None for a row without one."""
        ids = list(ids)
        if ids:
            self._counts[reason] += len(ids)
            self._ids.setdefault(reason, set()).update(filter(None, ids))

    def report(self) -> dict[str, dict[str, object]]:
        """Return {reason: {"rows": count, "examples": the first ids in order}}."""
        return {
            reason: {"rows": count, "examples": sorted(self._ids[reason])[:EXAMPLES]}
            for reason, count in self._counts.items()
        }


def canonical_rows(raw: SourceRows, name: str, dataset: DatasetParams, removed: Removed) -> list[Row]:
    """Return the cleaned, labelled rows of dataset `name`, each text once, sorted by id; what leaves goes to `removed`.

    Raises InputError for a label outside the set, a class without rows, or rows that are all the same.
    """
    rows = _cleaned(raw, name, dataset, removed)
    texts = {row.text for row in rows}
    if len(rows) > 1 and len(texts) == 1:
        raise InputError(f"{raw.name}: all {len(rows)} rows hold the same text, expected different ones")
    _check_classes(raw.name, rows, dataset)
    rows = _without_duplicates(rows, removed)
    if dataset.max_rows is not None:
        # the smallest hashes are a sample that stays the same whatever the order and, mostly, when data grow
        removed.add("beyond max_rows", (row.id for row in rows[dataset.max_rows :]))
        rows = rows[: dataset.max_rows]
    return rows


def _cleaned(raw: SourceRows, name: str, dataset: DatasetParams, removed: Removed) -> list[Row]:
    rows = []
    for number, (text, label, source) in enumerate(zip(raw.texts, raw.labels, raw.sources, strict=True), start=1):
        source = name if dataset.columns.source is None else source or ""
        if dataset.only_sources is not None and source not in dataset.only_sources:
            removed.add("other source", [None])
            continue
        label_name = _label_name(f"{raw.name}: row {number}", label, dataset)
        text = clean_text(text or "")
        if not text:
            removed.add("empty text", [None])
            continue
        rows.append(Row(hashlib.sha256(text.encode()).hexdigest()[:16], text, label_name, source))
    if not rows and dataset.only_sources is not None:
        found = sorted({source or "" for source in raw.sources})[:EXAMPLES]
        raise InputError(f"{raw.name}: no text from the sources {dataset.only_sources}, found the sources {found}")
    if not rows:
        raise InputError(f"{raw.name}: no row has text in column {dataset.columns.text!r}, expected some")
    return rows


def _label_name(place: str, label: str | None, dataset: DatasetParams) -> str | None:
    if dataset.labels is None:
        return None
    if label not in dataset.labels:
        found = "no label" if label is None else f"label {label!r}"
        raise InputError(f"{place}: {found}, expected one of {list(dataset.labels)} (columns.label, labels)")
    return dataset.labels[label]


def _check_classes(name: str, rows: list[Row], dataset: DatasetParams) -> None:
    if dataset.labels is None:
        return
    expected, found = sorted(set(dataset.labels.values())), sorted({row.label or "" for row in rows})
    if found != expected:
        what = f"only one class, {found[0]!r}" if len(found) == 1 else f"the classes {found}"
        raise InputError(f"{name}: {what} in {len(rows)} rows, expected rows of each of {expected}")


def _without_duplicates(rows: list[Row], removed: Removed) -> list[Row]:
    copies: dict[str, list[Row]] = {}
    for row in rows:
        copies.setdefault(row.id, []).append(row)
    kept = []
    for identifier, same in sorted(copies.items()):
        if len({row.label for row in same}) > 1:
            removed.add("conflicting labels", [identifier] * len(same))
        else:
            removed.add("duplicate text", [identifier] * (len(same) - 1))
            kept.append(min(same))
    return kept


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write the canonical table as Parquet, sorted by id; equal rows give equal bytes."""
    columns = list(zip(*sorted(rows), strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), path, compression="zstd")
