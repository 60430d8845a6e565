"""The canonical table: one row per text, its id made from the text itself, whatever the source looked like."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any, NamedTuple

from pipeline.files import InputError
from pipeline.params import DatasetParams
from pipeline.schema import COUNTER_EXAMPLES, SPLITS, compared
from pipeline.sources.cleaning import clean_spans, clean_text
from pipeline.sources.json_values import parse
from pipeline.sources.lines import splits_by_position
from pipeline.sources.reading import Metadata, SourceRow, SourceRows
from pipeline.sources.removed import EXAMPLES, Removed
from pipeline.sources.tagged import Span

SEPARATOR = "|"  # of labels in a cell of text


class Row(NamedTuple):
    """A row of the canonical table; `id` is made from the cleaned text, and from text and pair where there is a pair.

    No columns of the table are given_split, `dev` or `test` where the source says so, COUNTER_EXAMPLES for a row that
    is of train, else `train`, a row to be split; and group, a value whose rows stay in one split.
    """

    id: str
    text: str
    pair: str | None
    label: str | None
    labels: tuple[str, ...] | None
    spans: tuple[Span, ...] | None
    target: str | None
    score: float | None
    source: str
    metadata: Metadata | None
    given_split: str
    group: str | None

    @property
    def compared(self) -> str:
        """The text by which rows are compared with each other."""
        return compared(self.text, self.pair)

    @property
    def texts(self) -> list[str]:
        """The texts that the row holds, each by itself."""
        return [text for text in (self.text, self.pair, self.target) if text is not None]


def identifier(*texts: str) -> str:
    """Return 16 hexadecimal digits of the sha256 of cleaned texts, in which there is no NUL."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class CountedRows:
    """The rows of a source on their way, and what errors and the report say of them once they have passed."""

    def __init__(self, parts: Iterable[SourceRows]) -> None:
        self._parts, self._names = parts, dict[str, None]()
        self.rows = 0
        self.sources: list[str] = []  # the first EXAMPLES in order

    def __iter__(self) -> Iterator[SourceRows]:
        for part in self._parts:
            self._names[part.name] = None
            self.rows += len(part.texts)
            self.sources = sorted({*self.sources, *(source or "" for source in part.sources)})[:EXAMPLES]
            yield part

    @property
    def name(self) -> str:
        """What errors call all files of a source together."""
        return ", ".join(self._names)


class _Kept:
    """What has to be known of all rows that were cleaned."""

    def __init__(self) -> None:
        self.rows = 0
        self.labels: set[str] = set()
        self.id: str | None = None  # where all rows have the same one

    def add(self, row: Row) -> None:
        self.id = row.id if not self.rows or row.id == self.id else None
        self.rows += 1
        if row.label is not None:
            self.labels.add(row.label)
        self.labels.update(row.labels or (), (span.label for span in row.spans or ()))


def cleaned_rows(raw: CountedRows, name: str, dataset: DatasetParams, removed: Removed) -> Iterator[Row]:
    """Yield the rows of dataset `name`, cleaned and labelled; what leaves goes to `removed`.

    Raises InputError for a label outside the set, and at the end where there was no row, one text alone, or a label
    without rows.
    """
    kept = _Kept()
    for part in raw:
        for row in _cleaned(part, name, dataset, removed):
            kept.add(row)
            yield row
    if not kept.rows and dataset.only_sources is not None:
        found = f"found the sources {raw.sources}"
        raise InputError(f"{raw.name}: no text from the sources {dataset.only_sources}, {found}")
    if not kept.rows:
        named = (dataset.columns.text, dataset.columns.pair, dataset.columns.target)
        columns = ", ".join(repr(column) for column in named if column is not None)
        raise InputError(f"{raw.name}: no row has text in column {columns}, expected some")
    if kept.rows > 1 and kept.id is not None:
        raise InputError(f"{raw.name}: all {kept.rows} rows hold the same text, expected different ones")
    _check_classes(raw.name, kept, dataset)


def _cleaned(raw: SourceRows, name: str, dataset: DatasetParams, removed: Removed) -> Iterator[Row]:
    by_position = dataset.is_document and raw.split == "train"
    splits = splits_by_position(raw.texts, dataset.split) if by_position else repeat(raw.split, len(raw.texts))
    for number, (given, split) in enumerate(zip(raw.rows(), splits, strict=True), start=raw.first):
        source = name if dataset.columns.source is None else given.source or ""
        elsewhere = dataset.only_sources is not None and source not in dataset.only_sources
        if elsewhere and split != COUNTER_EXAMPLES:
            removed.add("other source", [None])
            continue
        row = _row(f"{raw.name}: row {number}", given._replace(source=source), split, dataset)
        empty = [key for key in ("text", "pair", "target") if getattr(row, key) == ""]
        if empty:
            removed.add(f"empty {empty[0]}", [None])
        else:
            yield row


def _row(place: str, given: SourceRow, split: str, dataset: DatasetParams) -> Row:
    """Return a row cleaned, "" where the source has nothing in a column of texts that the parameters name."""
    columns = dataset.columns
    label = _label_name(place, given.label, dataset) if dataset.row_labels else None
    keep_lines = dataset.line_breaks == "keep"
    if dataset.span_labels:
        named = [span._replace(label=_label_name(place, span.label, dataset)) for span in given.spans or ()]
        text, spans = clean_spans(given.text or "", named, keep_lines=keep_lines)
    else:
        text, spans = clean_text(given.text or "", keep_lines=keep_lines), None
    for marker in dataset.markers if text else ():
        if (times := text.count(marker)) != 1:
            raise InputError(f"{place}: marker {marker!r} stands {times} times in the text, expected once (markers)")
    pair, target = (
        None if column is None else clean_text(value or "", keep_lines=keep_lines)
        for column, value in ((columns.pair, given.pair), (columns.target, given.target))
    )
    return Row(
        id=identifier(text) if pair is None else identifier(text, pair),
        text=text,
        pair=pair,
        label=label,
        labels=_label_set(place, given.labels, dataset) if dataset.set_labels else None,
        spans=spans,
        target=target,
        score=None if columns.score is None else _number(place, given.score),
        source=given.source or "",
        metadata=given.metadata,
        given_split=split,
        group=None if columns.group is None else _group(place, given.group),
    )


def _label_name(place: str, label: str | None, dataset: DatasetParams) -> str:
    names = dataset.labels or {}
    if label not in names:
        found = "no label" if label is None else f"label {label!r}"
        key = next(key for key in ("label", "labels", "spans") if getattr(dataset.columns, key) is not None)
        raise InputError(f"{place}: {found}, expected one of {list(names)} (columns.{key}, labels)")
    return names[label]


def _label_set(place: str, given: str | None, dataset: DatasetParams) -> tuple[str, ...]:
    """Return the names of the labels that a cell holds, each once and sorted: a JSON list, or text with `|` between."""
    if given is None:
        raise InputError(f"{place}: no labels, expected a list of them or text, both of which may be empty")
    values: list[Any] = [value.strip() for value in given.split(SEPARATOR)] if given.strip() else []
    if given.lstrip().startswith("["):
        values = parse(f"{place}: labels {given!r}", given)
    for value in values:
        if type(value) not in (str, int):
            raise InputError(f"{place}: labels {given!r}, expected a list of texts or whole numbers (columns.labels)")
    return tuple(sorted({_label_name(place, str(value), dataset) for value in values}))


def _number(place: str, score: str | None) -> float:
    try:
        number = float(score or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        found = "no score" if score is None else f"score {score!r}"
        raise InputError(f"{place}: {found}, expected a finite number (columns.score)")
    return number


def _group(place: str, group: str | None) -> str:
    if not (group or "").strip():
        raise InputError(f"{place}: no group, expected what keeps rows in one split (columns.group)")
    return str(group)


def _check_classes(name: str, kept: _Kept, dataset: DatasetParams) -> None:
    expected = dataset.row_labels or dataset.set_labels or dataset.span_labels
    if (found := sorted(kept.labels)) != expected:
        what = f"only one class, {found[0]!r}" if len(found) == 1 else f"the classes {found}"
        raise InputError(f"{name}: {what} in {kept.rows} rows, expected rows of each of {expected}")


def without_duplicates(rows: Iterable[Row], removed: Removed) -> Iterator[Row]:
    """Yield each of some rows that are sorted by id once; what leaves goes to `removed`."""
    for key, group in groupby(rows, key=attrgetter("id")):
        copies = list(group)
        # a text that the source gives to test is a test row, whatever it is called elsewhere
        most_held_out = max((row.given_split for row in copies), key=(COUNTER_EXAMPLES, *SPLITS).index)
        candidates = [row for row in copies if row.given_split == most_held_out]
        if len({(row.label, row.labels, row.spans, row.score) for row in candidates}) > 1:
            what = "labels" if candidates[0].score is None else "scores"
            removed.add(f"conflicting {what}", [key] * len(copies))
        else:
            # of several targets none is wrong: a sentence has many translations
            removed.add("duplicate text", [key] * (len(copies) - 1))
            yield min(candidates)


def at_most(count: int | None, rows: Iterable[Row], removed: Removed) -> Iterator[Row]:
    """Yield the first `count` of some rows that are sorted by id, or all; the others go to `removed`."""
    # the smallest hashes are a sample that stays the same whatever the order and, mostly, when data grow
    for number, row in enumerate(rows):
        if count is None or number < count:
            yield row
        else:
            removed.add("beyond max_rows", [row.id])
