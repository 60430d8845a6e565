"""The test rows that a student gets most wrong, as a page shows them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import rankdata

from pipeline.evaluation.figures import FIGURES

ROWS_SHOWN = 10
SHOWN_CHARACTERS = 300
ANSWERS = ("label", "student", "teacher")
Row = dict[str, Any]


def worst_rows(predictions: Path, labels: list[str]) -> dict[str, Any]:
    """Return at most ROWS_SHOWN rows of predictions.parquet on which the student is wrong.

    `title` says which they are, `rows` holds for each its `text`, actual `label`, and the answers of `student` and
    `teacher`, all in words; `score`, the student's probability, where a whole text has one label.
    """
    table = pq.read_table(predictions)
    kind, rows = table["label"].type, table.to_pylist()
    if pa.types.is_integer(kind):
        found = _surest(rows, labels)
    elif pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        found = _furthest_off(rows, "labels", lambda text, named: " · ".join(named) or "nothing")
    else:
        (worst,) = (find for is_kind, find in WORST if is_kind(kind))
        found = worst(rows)
    return found | {"scored": any("score" in row for row in found["rows"])}


def _surest(rows: list[Row], labels: list[str]) -> dict[str, Any]:
    wrong = [row for row in rows if row["student"] != row["label"]]

    def score(row: Row) -> float:
        return float(row[f"student_score_{labels[row['student']]}"])

    wrong.sort(key=lambda row: (-score(row), row["id"]))
    rows = [_shown(row, lambda index: labels[index]) | {"score": score(row)} for row in wrong[:ROWS_SHOWN]]
    return {"title": "Where the student is wrong and surest of it", "rows": rows}


def _furthest_off(
    rows: list[Row], what: str = "spans", in_words: Callable[[str, Any], str] | None = None
) -> dict[str, Any]:
    in_words = in_words or _in_words
    wrong = [row for row in rows if row["student"] != row["label"]]

    def missed_or_made_up(row: Row) -> int:
        return sum(span not in row["student"] for span in row["label"]) + sum(
            span not in row["label"] for span in row["student"]
        )

    wrong.sort(key=lambda row: (-missed_or_made_up(row), row["id"]))
    rows = [_shown(row, partial(in_words, row["text"])) for row in wrong[:ROWS_SHOWN]]
    return {"title": f"Where the student's {what} are furthest off", "rows": rows}


def _least_alike(rows: list[Row]) -> dict[str, Any]:
    figure, wrong = FIGURES["chrf"], [row for row in rows if row["student"] != row["label"]]
    scores = [figure.of(figure.counts([row["label"]], [row["student"]])).item() for row in wrong]
    worst = sorted(zip(scores, wrong, strict=True), key=lambda pair: (pair[0], pair[1]["id"]))
    columns = ("pair",) if "pair" in rows[0] else ("text",)  # the question, without its passage
    shown = [_shown(row, str, columns) for _, row in worst[:ROWS_SHOWN]]
    return {"title": "Where the student's text is least like the one that was wanted (chrF)", "rows": shown}


def _misplaced(rows: list[Row]) -> dict[str, Any]:
    ranks = {name: rankdata([row[name] for row in rows]) for name in ("student", "label")}
    off = np.abs(ranks["student"] - ranks["label"])
    order = sorted(range(len(off)), key=lambda row: (-off[row], rows[row]["id"]))
    shown = [_shown(rows[row], lambda number: f"{number:.2f}") for row in order[:ROWS_SHOWN]]
    return {"title": "Where the student ranks a pair furthest from its place", "rows": shown}


def _costliest(rows: list[Row]) -> dict[str, Any]:
    def bits_per_character(row: Row, model: str) -> float:
        return float(row[model] / np.log(2) / max(row["label"]["characters"], 1))

    rows.sort(key=lambda row: (-bits_per_character(row, "student"), row["id"]))
    shown = [
        {"text": _cut(row["text"]), "label": f"{row['label']['characters']:,} characters"}
        | {model: f"{bits_per_character(row, model):.2f} bits each" for model in ("student", "teacher")}
        for row in rows[:ROWS_SHOWN]
    ]
    return {"title": "What the student finds least likely", "rows": shown}


def _in_words(text: str, spans: list[Row]) -> str:
    return " · ".join(f"{span['label']}: {text[span['start'] : span['end']]}" for span in spans) or "nothing"


def _shown(row: Row, in_words: Callable[[Any], str], columns: tuple[str, ...] = ("text", "pair")) -> Row:
    texts = " · ".join(_cut(row[name]) for name in columns if name in row)
    return {"text": texts} | {name: _cut(in_words(row[name])) for name in ANSWERS}


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


# by the kind of answers: how to find the rows; a single label is in _surest's hands
WORST: list[tuple[Callable[[pa.DataType], bool], Callable[[list[Row]], dict[str, Any]]]] = [
    (pa.types.is_list, _furthest_off),
    (pa.types.is_string, _least_alike),
    (pa.types.is_floating, _misplaced),
    (pa.types.is_struct, _costliest),
]
