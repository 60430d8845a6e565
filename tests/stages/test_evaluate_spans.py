"""The evaluate stage where spans are labelled: figures worked out by hand, answers as spans, the same bytes again."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.figures import score
from pipeline.evaluation.table import SPANS, from_column
from pipeline.files import InputError, content_hash, read_json
from tests.stages.stage_runs import run_evaluate
from tests.stages.tiny_span_project import COUNTS, FOUND, GIVEN, LABELS, TAGS, THERE, build_project, params
from tests.tiny_students import BEGIN

BASELINES = {
    "most_frequent_tag",
    "conditional_random_field",
    "distilled_conditional_random_field",
    "frozen_encoder_tagger",
    "undistilled_student",
}
TEST_ROWS = COUNTS["test"] + 1


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    build_project(root)
    return root


@pytest.fixture(scope="module")
def run(project: Path) -> Callable[[str], Path]:
    """Run the stage into a folder of the project and return that folder."""

    def run_into(name: str) -> Path:
        return run_evaluate(params(), "slots", project, project / name)

    return run_into


@pytest.fixture(scope="module")
def out(run: Callable[[str], Path]) -> Path:
    return run("first")


def test_figures_by_hand(out: Path) -> None:
    found = read_json(out / "evaluation.json")
    assert (found["metric"], found["labels"], found["classes"]) == ("span_f1", LABELS, TAGS)
    assert found["rows"] == TEST_ROWS and "accuracy" not in found["student"]
    assert found["student"]["span_f1"] == found["teacher"]["span_f1"] == round(2 * FOUND / (GIVEN + THERE), 6)
    assert found["student"]["interval"][0] < found["student"]["span_f1"] < found["student"]["interval"][1]
    compared = found["comparison"]
    assert (compared["relative_score"], compared["agreement"], compared["recovered_share"]) == (1.0, 1.0, 1.0)
    assert compared["student_minus_teacher"]["difference"] == 0.0


def test_answers_are_spans_and_agree_with_the_figures(out: Path, project: Path) -> None:
    found, table = read_json(out / "evaluation.json"), pq.read_table(out / "predictions.parquet")
    rows = pq.read_table(project / "rows" / "test.parquet")
    assert table["id"].to_pylist() == rows["id"].to_pylist() and table["label"].to_pylist() == rows["spans"].to_pylist()
    assert not [name for name in table.column_names if "score" in name]
    actual = from_column(table["label"])
    assert set(found["baselines"]) == BASELINES
    for name in ("teacher", "student", *BASELINES):
        figures = found["baselines"].get(name) or found[name]
        assert figures["span_f1"] == pytest.approx(score("span_f1", actual, from_column(table[name])), abs=1e-6)
    by_text = dict(zip(table["text"].to_pylist(), table["student"].to_pylist(), strict=True))
    assert by_text["play it in york"] == []
    assert by_text["it is in paris"] == [{"start": 9, "end": 14, "label": "city"}]
    (cut,) = [spans for text, spans in by_text.items() if text.startswith("in in")]
    assert cut == [{"start": 27, "end": 30, "label": "city"}]


def test_baselines_learn_what_stands_in_the_words(out: Path) -> None:
    baselines = read_json(out / "evaluation.json")["baselines"]
    # taggers read a text to its end, so that only they can be right on the long one
    alone, distilled = (
        baselines[name]["span_f1"] for name in ("conditional_random_field", "distilled_conditional_random_field")
    )
    assert alone > 0.95 < distilled
    assert 0 < baselines["most_frequent_tag"]["span_f1"] < alone
    assert baselines["undistilled_student"]["span_f1"] < 0.5 < baselines["frozen_encoder_tagger"]["span_f1"]


def test_tables_have_one_entry_for_each_word(out: Path) -> None:
    found = read_json(out / "evaluation.json")
    with open(out / "confusion.csv", encoding="utf-8", newline="") as file:
        pairs = Counter((row["actual"], row["predicted"]) for row in csv.DictReader(file))
    assert [[pairs[actual, predicted] for predicted in TAGS] for actual in TAGS] == found["confusion"]
    read = sum(len(words) for words in ("12", "123456", "1234", "1234", "12345")) * 8 - 5 + 10
    assert sum(pairs.values()) == read == sum(record["rows"] for record in found["reliability"])
    assert pairs["B-city", "I-city"] == 8  # "york"
    plain = found["calibration"]["before"]["reliability"]
    assert min(record["confidence"] for record in plain) == pytest.approx(BEGIN, abs=0.01)
    assert {record["slice"] for record in found["slices"]} == {"source", "length"}


def test_the_same_inputs_give_the_same_bytes(run: Callable[[str], Path], out: Path) -> None:
    assert content_hash(out) == content_hash(run("second"))


def test_rows_without_spans_are_the_users_mistake(tmp_path: Path) -> None:
    build_project(tmp_path)
    path = tmp_path / "rows" / "test.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index("spans"), "spans", pa.nulls(len(table), SPANS)), path)
    with pytest.raises(InputError, match="row test0000: no spans, expected a list"):
        run_evaluate(params(), "slots", tmp_path, tmp_path / "first")
    assert not (tmp_path / "first").exists()
