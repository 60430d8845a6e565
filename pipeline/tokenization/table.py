"""Texts, labels and spans of a canonical table (Parquet), read in bounded pieces."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import InputError, open_parquet, replacing
from pipeline.tokenization.ragged import UNLABELLED
from pipeline.words import tags_of, words

BATCH_ROWS = 1000


class AnswerPlace(NamedTuple):
    """The id of a row and where the answer to its question stands in its text, in characters."""

    id: str
    start: int
    end: int


def text_batches(path: Path) -> Iterator[list[str]]:
    """Yield the texts of a table in file order, at most BATCH_ROWS at a time."""
    for batch in _open(path).iter_batches(BATCH_ROWS, columns=["text"]):
        yield batch.column("text").to_pylist()


def written_batches(path: Path) -> Iterator[list[str]]:
    """Yield all that stands in a table, in file order: each text, and the text to be written for it where there is one.

    A tokenizer and a language model that are to read the ones and write the others learn from both.
    """
    file = _open(path)
    columns = [name for name in ("text", "target") if name in file.schema_arrow.names]
    for batch in file.iter_batches(BATCH_ROWS, columns=columns):
        rows = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
        yield [text for row in rows for text in row if text is not None]


def read_texts(path: Path) -> list[str]:
    """Return all texts of a table in file order."""
    return [text for batch in text_batches(path) for text in batch]


def read_pairs(path: Path) -> list[str] | None:
    """Return the second text of each row in file order; None for a table whose rows have none."""
    column = _open(path).read(columns=["pair"])["pair"]
    return None if column.null_count == len(column) else [str(pair) for pair in column.to_pylist()]


def read_metadata(path: Path, column: str) -> list[str]:
    """Return each row's value in a further column of the source, "" for none (columns.metadata of the dataset)."""
    rows = _open(path).read(columns=["metadata"])["metadata"].to_pylist()
    return [{cell["column"]: cell["value"] for cell in row or ()}.get(column, "") for row in rows]


def read_targets(path: Path, labels: list[str]) -> list[str]:
    """Return the text to be written for each row; raise InputError naming the first row that has none."""
    table = _open(path).read(columns=["id", "target"])
    targets = table["target"].to_pylist()
    for row, target in enumerate(targets):
        if target is None:
            place = f"{path}: row {table['id'][row]}"
            raise InputError(f"{place}: no target, expected a text (columns.target of the dataset)")
    return [str(target) for target in targets]


def read_labels(path: Path, labels: list[str]) -> np.ndarray:
    """Return each row's index into `labels`, UNLABELLED for null; int64, shape (rows,).

    Raises InputError naming the first row whose label is none of `labels`.
    """
    table = _open(path).read(columns=["id", "label"])
    indices = {None: UNLABELLED} | {label: index for index, label in enumerate(labels)}
    found = table.column("label").to_pylist()
    for row, label in enumerate(found):
        if label not in indices:
            raise InputError(f"{path}: row {table.column('id')[row]}: label {label!r}, expected one of {labels}")
    return np.array([indices[label] for label in found], dtype=np.int64)


def read_label_sets(path: Path, labels: list[str]) -> np.ndarray:
    """Return which of `labels` each row has, 1 or 0, UNLABELLED where the row's are null; int8, shape (rows, labels).

    Raises InputError naming the first row that has a label which is none of `labels`.
    """
    table, index = _open(path).read(columns=["id", "labels"]), {label: place for place, label in enumerate(labels)}
    found = np.zeros((len(table), len(labels)), dtype=np.int8)
    for row, names in enumerate(table.column("labels").to_pylist()):
        if names is None:
            found[row] = UNLABELLED
        for name in names or ():
            if name not in index:
                raise InputError(f"{path}: row {table.column('id')[row]}: label {name!r}, expected some of {labels}")
            found[row, index[name]] = 1
    return found


def read_scores(path: Path, labels: list[str]) -> np.ndarray:
    """Return each row's score between 0 and 1, the least and the greatest of the train split; float32, shape (rows,).

    `path` is one of the splits' files, `labels` are none. Scores beyond those of train count as the nearest of them.
    Raises InputError naming the first row without a score, or where all scores of train are the same.
    """
    scores = {split: _scores(split) for split in (path.with_name("train.parquet"), path)}
    least, greatest = (pick(scores[path.with_name("train.parquet")]) for pick in (np.min, np.max))
    if least == greatest:
        raise InputError(f"{path.with_name('train.parquet')}: every score is {least:g}, expected different ones")
    return np.clip((scores[path] - least) / (greatest - least), 0, 1).astype(np.float32)


def _scores(path: Path) -> np.ndarray:
    table = _open(path).read(columns=["id", "score"])
    for id_, score in zip(table["id"].to_pylist(), table["score"].to_pylist(), strict=True):
        if score is None:
            raise InputError(f"{path}: row {id_}: no score, expected a number (columns.score of the dataset)")
    if not len(table):
        raise InputError(f"{path}: no rows, expected at least one")
    return table["score"].to_numpy()


def read_word_labels(path: Path, labels: list[str]) -> list[list[int]]:
    """Return the tag of each word of each row, an index into `pipeline.words.tag_names(labels)`.

    Raises InputError naming the first row without spans, or with a span whose label is none of `labels`.
    """
    tags = []
    for row in _open(path).read(columns=["id", "text", "spans"]).to_pylist():
        if row["spans"] is None:
            raise InputError(f"{path}: row {row['id']}: no spans, expected a list (columns.spans of the dataset)")
        spans = [(span["start"], span["end"], span["label"]) for span in row["spans"]]
        try:
            tags.append(tags_of(words(row["text"]), spans, labels))
        except KeyError as error:
            raise InputError(f"{path}: row {row['id']}: span label {error}, expected one of {labels}") from None
    return tags


def read_answer_places(path: Path, labels: list[str]) -> list[AnswerPlace]:
    """Return the place of the answer of each row: its one span, whose label is among `labels`.

    Raises InputError naming the first row that has none, several, or one of another label.
    """
    places = []
    for row in _open(path).read(columns=["id", "spans"]).to_pylist():
        spans = row["spans"] or []
        if len(spans) != 1 or spans[0]["label"] not in labels:
            found = [span["label"] for span in spans]
            raise InputError(f"{path}: row {row['id']}: spans {found}, expected the one answer, one of {labels}")
        places.append(AnswerPlace(row["id"], spans[0]["start"], spans[0]["end"]))
    return places


def read_completions(path: Path, labels: list[str]) -> list[str | None]:
    """Return what is to be written for each row; None where it is the row's own text that is to be predicted."""
    return list(_open(path).read(columns=["target"])["target"].to_pylist())


def write_sentences(path: Path, sentences: list[tuple[str, str]]) -> None:
    """Write (id, text) pairs as Parquet, equal pairs as equal bytes."""
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    columns = [[sentence[column] for sentence in sentences] for column in (0, 1)]
    with replacing(path) as draft:
        pq.write_table(pa.table(columns, schema=schema), draft, compression="zstd")


def _open(path: Path) -> pq.ParquetFile:
    try:
        return open_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a table written by validate") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None
