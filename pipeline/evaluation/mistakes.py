"""The test rows that a student gets most wrong, as a page shows them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import rankdata

from pipeline.evaluation.answer_texts import token_overlaps

ROWS_SHOWN = 10
SHOWN_CHARACTERS = 300
ANSWERS = ("label", "student", "teacher")
Row = dict[str, Any]


def worst_rows(predictions: Path, labels: list[str]) -> dict[str, Any]:
    """Return at most ROWS_SHOWN rows of predictions.parquet on which the student is wrong.

    Where texts are predicted they are those that cost it most.

    `title` says which they are, `rows` holds for each its `text`, actual `label`, and the answers of `student` and
    `teacher`, all in words; `score`, the student's probability, where a whole text has a label.
    """
    table = pq.read_table(predictions)
    if pa.types.is_floating(table["label"].type):
        return _misplaced(table) | {"scored": False}
    wrong = [row for row in table.to_pylist() if row["student"] != row["label"]]
    kind = table["label"].type
    if pa.types.is_list(kind):
        found = _furthest_off(wrong)
    elif pa.types.is_struct(kind):
        found = _costliest(wrong)
    else:
        found = _least_alike(wrong) if pa.types.is_string(kind) else _surest(wrong, labels)
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


def _least_alike(wrong: list[Row]) -> dict[str, Any]:
    alike = token_overlaps([row["label"] for row in wrong], [row["student"] for row in wrong])[:, 0].tolist()
    order = sorted(range(len(wrong)), key=lambda index: (alike[index], wrong[index]["id"]))
    rows = [_shown(wrong[index] | {"text": wrong[index]["pair"]}, str) for index in order[:ROWS_SHOWN]]
    return {"title": "Where the student's answer has least in common with the actual one", "rows": rows}


def _misplaced(table: pa.Table) -> dict[str, Any]:
    ranks = {name: rankdata(table[name].to_numpy()) for name in ANSWERS}
    off = np.abs(ranks["student"] - ranks["label"])
    order = sorted(range(len(off)), key=lambda row: (-off[row], table["id"][row].as_py()))
    rows = [_shown(table.slice(row, 1).to_pylist()[0], lambda number: f"{number:.2f}") for row in order[:ROWS_SHOWN]]
    return {"title": "Where the student ranks a pair furthest from its place", "rows": rows}


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


def _shown(row: Row, in_words: Callable[[Any], str]) -> Row:
    texts = " · ".join(_cut(row[name]) for name in ("text", "pair") if name in row)
    return {"text": texts} | {name: _cut(in_words(row[name])) for name in ANSWERS}


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
