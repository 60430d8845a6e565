"""The canonical table: one row per text, its id made from the text itself, whatever the source looked like."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import InputError
from pipeline.params import DatasetParams
from pipeline.sources.cleaning import clean_spans, clean_text
from pipeline.sources.reading import SourceRows
from pipeline.sources.tagged import Span

SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "text": pa.string(),
        "label": pa.string(),
        "spans": pa.list_(pa.field("element", SPAN)),  # Parquet's name for what a list holds
        "source": pa.string(),
    }
)
SPLITS = ("train", "dev", "test")  # each more held out than the one before
EXAMPLES = 20


class Row(NamedTuple):
    """A row of the canonical table; `id` is 16 hexadecimal digits of the cleaned text's sha256.

    given_split: `dev` or `test` where the source says so, else `train`, a row to be split; no column of the table.
    """

    id: str
    text: str
    label: str | None
    spans: tuple[Span, ...] | None
    source: str
    given_split: str


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


def name_of(raw: Sequence[SourceRows]) -> str:
    """Return what errors call all files of a source together."""
    return ", ".join(part.name for part in raw)


def canonical_rows(raw: Sequence[SourceRows], name: str, dataset: DatasetParams, removed: Removed) -> list[Row]:
    """Return the cleaned, labelled rows of dataset `name`, each text once, sorted by id; what leaves goes to `removed`.

    Raises InputError for a label outside the set, a label without rows, or rows that are all the same.
    """
    rows = [row for part in raw for row in _cleaned(part, name, dataset, removed)]
    if not rows and dataset.only_sources is not None:
        found = sorted({source or "" for part in raw for source in part.sources})[:EXAMPLES]
        raise InputError(f"{name_of(raw)}: no text from the sources {dataset.only_sources}, found the sources {found}")
    if not rows:
        raise InputError(f"{name_of(raw)}: no row has text in column {dataset.columns.text!r}, expected some")
    if len(rows) > 1 and len({row.text for row in rows}) == 1:
        raise InputError(f"{name_of(raw)}: all {len(rows)} rows hold the same text, expected different ones")
    _check_classes(name_of(raw), rows, dataset)
    rows = _without_duplicates(rows, removed)
    if dataset.max_rows is not None:
        # the smallest hashes are a sample that stays the same whatever the order and, mostly, when data grow
        removed.add("beyond max_rows", (row.id for row in rows[dataset.max_rows :]))
        rows = rows[: dataset.max_rows]
    return rows


def _cleaned(raw: SourceRows, name: str, dataset: DatasetParams, removed: Removed) -> Iterator[Row]:
    row_labels, span_labels = bool(dataset.row_labels), bool(dataset.span_labels)
    columns = zip(raw.texts, raw.labels, raw.spans, raw.sources, strict=True)
    for number, (text, label, spans, source) in enumerate(columns, start=1):
        source = name if dataset.columns.source is None else source or ""
        if dataset.only_sources is not None and source not in dataset.only_sources:
            removed.add("other source", [None])
            continue
        place = f"{raw.name}: row {number}"
        label_name = _label_name(place, label, dataset) if row_labels else None
        cleaned, where = clean_text(text or ""), None
        if span_labels:
            named = [span._replace(label=_label_name(place, span.label, dataset)) for span in spans or ()]
            cleaned, where = clean_spans(text or "", named)
        if not cleaned:
            removed.add("empty text", [None])
            continue
        identifier = hashlib.sha256(cleaned.encode()).hexdigest()[:16]
        yield Row(identifier, cleaned, label_name, where, source, raw.split)


def _label_name(place: str, label: str | None, dataset: DatasetParams) -> str:
    names = dataset.labels or {}
    if label not in names:
        found, key = "no label" if label is None else f"label {label!r}", "label" if dataset.row_labels else "spans"
        raise InputError(f"{place}: {found}, expected one of {list(names)} (columns.{key}, labels)")
    return names[label]


def _check_classes(name: str, rows: list[Row], dataset: DatasetParams) -> None:
    expected = dataset.row_labels or dataset.span_labels
    of_spans = {span.label for row in rows for span in row.spans or ()}
    found = sorted({row.label or "" for row in rows} if dataset.row_labels else of_spans)
    if found != expected:
        what = f"only one class, {found[0]!r}" if len(found) == 1 else f"the classes {found}"
        raise InputError(f"{name}: {what} in {len(rows)} rows, expected rows of each of {expected}")


def _without_duplicates(rows: list[Row], removed: Removed) -> list[Row]:
    copies: dict[str, list[Row]] = {}
    for row in rows:
        copies.setdefault(row.id, []).append(row)
    kept = []
    for identifier, same in sorted(copies.items()):
        # a text that the source gives to test is a test row, whatever it is called elsewhere
        most_held_out = max((row.given_split for row in same), key=SPLITS.index)
        candidates = [row for row in same if row.given_split == most_held_out]
        if len({(row.label, row.spans) for row in candidates}) > 1:
            removed.add("conflicting labels", [identifier] * len(same))
        else:
            removed.add("duplicate text", [identifier] * (len(same) - 1))
            kept.append(min(candidates))
    return kept


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write the canonical table as Parquet, sorted by id; equal rows give equal bytes."""
    ordered = sorted(rows)
    arrays = [pa.array([getattr(row, field.name) for row in ordered], field.type) for field in SCHEMA]
    pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), path, compression="zstd")
