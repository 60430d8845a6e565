"""The test rows that a student gets most wrong, as a page shows them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluation.figures import FIGURES

ROWS_SHOWN = 10
SHOWN_CHARACTERS = 300
ANSWERS = ("label", "student", "teacher")
Row = dict[str, Any]


def worst_rows(predictions: Path, labels: list[str]) -> dict[str, Any]:
    """Return at most ROWS_SHOWN rows of predictions.parquet on which the student is wrong.

    `title` says which they are, `rows` holds for each its `text`, actual `label`, and the answers of `student` and
    `teacher`, all in words; `score`, the student's probability, where a whole text has a label.
    """
    table = pq.read_table(predictions)
    if pa.types.is_string(table["label"].type):
        return _least_alike(table.to_pylist())
    wrong = [row for row in table.to_pylist() if row["student"] != row["label"]]
    found = _furthest_off(wrong) if pa.types.is_list(table["label"].type) else _surest(wrong, labels)
    return found | {"scored": any("score" in row for row in found["rows"])}


def _surest(wrong: list[Row], labels: list[str]) -> dict[str, Any]:
    def score(row: Row) -> float:
        return float(row[f"student_score_{labels[row['student']]}"])

    wrong.sort(key=lambda row: (-score(row), row["id"]))
    rows = [_shown(row, lambda index: labels[index]) | {"score": score(row)} for row in wrong[:ROWS_SHOWN]]
    return {"title": "Where the student is wrong and surest of it", "rows": rows}


def _furthest_off(wrong: list[Row]) -> dict[str, Any]:
    def missed_or_made_up(row: Row) -> int:
        return sum(span not in row["student"] for span in row["label"]) + sum(
            span not in row["label"] for span in row["student"]
        )

    wrong.sort(key=lambda row: (-missed_or_made_up(row), row["id"]))
    rows = [_shown(row, partial(_in_words, row["text"])) for row in wrong[:ROWS_SHOWN]]
    return {"title": "Where the student's spans are furthest off", "rows": rows}


def _least_alike(rows: list[Row]) -> dict[str, Any]:
    """Return the rows for which the student's text is least like the one that was wanted, by the chrF of each row."""
    figure = FIGURES["chrf"]
    scores = figure.of(figure.counts([row["label"] for row in rows], [row["student"] for row in rows]))
    worst = sorted(zip(scores.tolist(), rows, strict=True), key=lambda pair: (pair[0], pair[1]["id"]))
    shown = [_shown(row, str) for _, row in worst[:ROWS_SHOWN]]
    return {"title": "Where the student's text is least like the one that was wanted", "rows": shown, "scored": False}


def _in_words(text: str, spans: list[Row]) -> str:
    return " · ".join(f"{span['label']}: {text[span['start'] : span['end']]}" for span in spans) or "nothing"


def _shown(row: Row, in_words: Callable[[Any], str]) -> Row:
    return {"text": _cut(row["text"])} | {name: _cut(in_words(row[name])) for name in ANSWERS}


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
