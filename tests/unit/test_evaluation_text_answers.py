"""Answers that are texts: read from the spans of a table, written and read as a column, the worst ones shown."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.mistakes import worst_rows
from pipeline.evaluation.table import SPANS, as_column, from_column, read_labelled_texts
from pipeline.files import InputError


def write(path: Path, spans: list[list[dict[str, object]]]) -> Path:
    texts = ["Bob sang in Rome.", "东京在日本。"][: len(spans)]
    pairs = ["Who?", "在哪里？"][: len(spans)]
    columns = {"id": [*"ab"][: len(spans)], "text": texts, "pair": pairs, "source": [*"xy"][: len(spans)]}
    pq.write_table(pa.table(columns | {"spans": pa.array(spans, SPANS)}), path)
    return path


def test_the_answer_is_the_text_of_the_one_span(tmp_path: Path) -> None:
    spans = [[{"start": 0, "end": 3, "label": "answer"}], [{"start": 3, "end": 5, "label": "answer"}]]
    rows = read_labelled_texts(write(tmp_path / "rows.parquet", spans), "question_answering", ["answer"])
    assert rows.actual == ["Bob", "日本"] and rows.pairs == ["Who?", "在哪里？"]


@pytest.mark.parametrize("spans", [[], [{"start": 0, "end": 3, "label": "answer"}] * 2])
def test_a_row_with_no_span_or_several_is_named(tmp_path: Path, spans: list[dict[str, object]]) -> None:
    path = write(tmp_path / "rows.parquet", [spans])
    with pytest.raises(InputError, match=f"rows.parquet: row a: {len(spans)} spans, expected one, the answer"):
        read_labelled_texts(path, "question_answering", ["answer"])


def test_a_column_of_answers_is_read_as_it_was_written() -> None:
    assert from_column(as_column(["Bob", ""])) == ["Bob", ""]
    assert np.array_equal(from_column(as_column(np.array([1, 0]))), np.array([1, 0]))
    assert from_column(as_column([[(0, 3, "a")], []])) == [[(0, 3, "a")], []]


def test_the_worst_answers_have_least_in_common_with_the_actual_ones(tmp_path: Path) -> None:
    columns = {
        "id": ["a", "b", "c", "d"],
        "text": ["a passage"] * 4,
        "pair": ["first?", "second?", "third?", "fourth?"],
        "label": ["in Rome", "Bob", "in New York", "1833"],
        "teacher": ["Rome"] * 4,
        "student": ["Rome", "Ada", "New York", "1833"],
    }
    pq.write_table(pa.table(columns), tmp_path / "predictions.parquet")
    found = worst_rows(tmp_path / "predictions.parquet", ["answer"])
    assert [row["text"] for row in found["rows"]] == ["second?", "first?", "third?"]
    assert found["rows"][0] == {"text": "second?", "label": "Bob", "student": "Ada", "teacher": "Rome"}
    assert not found["scored"]
