"""The labelled rows of a split, as the canonical table holds them, and answers as a column of a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluation.figures import Answers
from pipeline.files import InputError
from pipeline.words import Span

SPANS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())]))

MEASURED = ["characters", "tokens"]  # of a text that is predicted


@dataclass(frozen=True)
class LabelledTexts:
    """Rows of one split in the order of their file.

    pairs: the second text of each row, None where rows have one text. actual: the true answers: indices into the
    task's labels, int64 (rows,), the names of a row's labels, scores, float64 (rows,), the spans of each text, the text
    of each answer, or what is to be written for each text, None where it is the text itself that is predicted.
    metadata: further columns of the source by name, one value a row.
    """

    ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    actual: Answers
    sources: list[str]
    metadata: dict[str, list[str]] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """Each row's texts as one, for what reads words in no order."""
        return self.texts if self.pairs is None else [f"{a} {b}" for a, b in zip(self.texts, self.pairs, strict=True)]


def read_labelled_texts(path: Path, task_type: str, labels: list[str], metadata: Sequence[str] = ()) -> LabelledTexts:
    """Read a canonical table for a task of `task_type`, and the columns `metadata` that its rows were to keep.

    Raises InputError where it is missing or empty, or where a row has no answer or one that is none of `labels`.
    """
    column, read = ANSWERS[task_type]
    wanted = ["id", "text", "pair", column, "source", *(["metadata"] if metadata else [])]
    try:
        columns = pq.read_table(path, columns=wanted).to_pydict()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a table written by validate") from None
    if not columns["id"]:
        raise InputError(f"{path}: no rows, expected at least one")
    actual = read(path, columns, labels)
    pairs = None if None in columns["pair"] else columns["pair"]
    rows = [{cell["column"]: cell["value"] for cell in row or ()} for row in columns.get("metadata", ())]
    further = {name: [row.get(name, "") for row in rows] for name in metadata}
    return LabelledTexts(columns["id"], columns["text"], pairs, actual, columns["source"], further)


def _indices(path: Path, columns: dict[str, list[Any]], labels: list[str]) -> np.ndarray:
    index, names = {label: position for position, label in enumerate(labels)}, columns["label"]
    for id_, name in zip(columns["id"], names, strict=True):
        if name not in index:
            raise InputError(f"{path}: row {id_}: label {name!r}, expected one of {labels}")
    return np.array([index[str(name)] for name in names], dtype=np.int64)


def _label_sets(path: Path, columns: dict[str, list[Any]], labels: list[str]) -> list[frozenset[str]]:
    for id_, row in zip(columns["id"], columns["labels"], strict=True):
        if row is None:
            raise InputError(f"{path}: row {id_}: no labels, expected a list (columns.labels of the dataset)")
        for name in row:
            if name not in labels:
                raise InputError(f"{path}: row {id_}: label {name!r}, expected some of {labels}")
    return [frozenset(row) for row in columns["labels"]]


def _spans(path: Path, columns: dict[str, list[Any]], labels: list[str]) -> list[list[Span]]:
    found = []
    for id_, row in zip(columns["id"], columns["spans"], strict=True):
        if row is None:
            raise InputError(f"{path}: row {id_}: no spans, expected a list (columns.spans of the dataset)")
        for span in row:
            if span["label"] not in labels:
                raise InputError(f"{path}: row {id_}: span label {span['label']!r}, expected one of {labels}")
        found.append([_as_tuple(span) for span in row])
    return found


def _span_texts(path: Path, columns: dict[str, list[Any]], labels: list[str]) -> list[str]:
    """Return the text of the one span of each row, the answer to its question."""
    found = _spans(path, columns, labels)
    for id_, spans in zip(columns["id"], found, strict=True):
        if len(spans) != 1:
            raise InputError(f"{path}: row {id_}: {len(spans)} spans, expected one, the answer")
    return [text[start:end] for text, [(start, end, _)] in zip(columns["text"], found, strict=True)]


def _scores(path: Path, columns: dict[str, list[Any]], labels: list[str]) -> np.ndarray:
    for id_, score in zip(columns["id"], columns["score"], strict=True):
        if score is None:
            raise InputError(f"{path}: row {id_}: no score, expected a number (columns.score of the dataset)")
    return np.array(columns["score"], dtype=np.float64)


def _completions(path: Path, columns: dict[str, list[Any]], labels: list[str]) -> list[str | None]:
    return columns["target"]


def _targets(path: Path, columns: dict[str, list[Any]], labels: list[str]) -> list[str]:
    for id_, target in zip(columns["id"], columns["target"], strict=True):
        if target is None:
            raise InputError(f"{path}: row {id_}: no target, expected a text (columns.target of the dataset)")
    return [str(target) for target in columns["target"]]


# by a task's type: the column of the canonical table that has the answers, and how it is read
ANSWERS: dict[str, tuple[str, Callable[..., Answers]]] = {
    "text_classification": ("label", _indices),
    "multi_label_classification": ("labels", _label_sets),
    "token_classification": ("spans", _spans),
    "question_answering": ("spans", _span_texts),
    "sentence_similarity": ("score", _scores),
    "text_generation": ("target", _completions),
    "translation": ("target", _targets),
    "summarization": ("target", _targets),
}


def as_column(answers: Answers) -> pa.Array:
    """Return answers as a column of a table: numbers, strings, `{characters, tokens}`, lists of strings or of spans."""
    if isinstance(answers, np.ndarray) and answers.ndim == 2:
        return pa.StructArray.from_arrays([pa.array(column) for column in answers.T], names=MEASURED)
    rows: Any = answers
    if isinstance(answers, np.ndarray) or (len(rows) and isinstance(rows[0], str)):
        return pa.array(rows)
    if len(rows) and isinstance(rows[0], frozenset):
        return pa.array([sorted(row) for row in rows], pa.list_(pa.string()))
    return pa.array([[dict(zip(SPANS.value_type.names, span, strict=True)) for span in row] for row in rows], SPANS)


def from_column(column: pa.Array | pa.ChunkedArray) -> Answers:
    """Return what `as_column` made a column of."""
    if pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
        return [frozenset(row) for row in column.to_pylist()]
    if pa.types.is_list(column.type):
        return [[_as_tuple(span) for span in row] for row in column.to_pylist()]
    if pa.types.is_struct(column.type):
        rows = column.to_pylist()
        return np.array([[row[name] for name in MEASURED] for row in rows], dtype=np.int64).reshape(-1, len(MEASURED))
    return column.to_pylist() if pa.types.is_string(column.type) else np.asarray(column)


def _as_tuple(span: dict[str, Any]) -> Span:
    return span["start"], span["end"], span["label"]


def read_texts(path: Path) -> list[str]:
    """Read the texts of a table that has no labels, in the order of the file."""
    return [str(text) for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
