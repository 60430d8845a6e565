"""The evaluate stage on rows and models of a few kilobytes: what it writes, and that it writes the same again."""

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mlflow.pyfunc import PythonModelContext
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from pipeline.evaluation import efficiency
from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params, load_params
from pipeline.registry import publish, served_model
from pipeline.schema import CANONICAL
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows
from tests.stages.stage_runs import run_evaluate
from tests.stages.tiny_project import NAMES, ROWS, build_project

ROOT = Path(__file__).parents[2]
BASELINES = {
    "majority",
    "naive_bayes",
    "tfidf_logistic_regression",
    "distilled_tfidf_logistic_regression",
    "frozen_encoder_logistic_regression",
    "undistilled_student",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    build_project(tmp_path)
    return tmp_path


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def run(project: Path, params: Params) -> Callable[[str], Path]:
    """Run the stage into a folder of the project and return that folder."""

    def run_into(name: str) -> Path:
        return run_evaluate(params, "sentiment", project, project / name)

    return run_into


def test_everything_is_written_and_agrees(run: Callable[[str], Path], project: Path) -> None:
    out = run("first")
    found, rows = read_json(out / "evaluation.json"), pq.read_table(out / "predictions.parquet").to_pydict()
    assert found["rows"] == len(rows["id"]) == ROWS["test"]
    assert (found["metric"], found["classes"]) == ("accuracy", list(NAMES))
    assert set(found["baselines"]) == BASELINES
    assert rows["id"] == pq.read_table(project / "rows" / "test.parquet")["id"].to_pylist()

    labels = np.array(rows["label"])
    for name in ("teacher", "student", *BASELINES):
        figures = found["baselines"].get(name) or found[name]
        assert figures["accuracy"] == pytest.approx(np.mean(np.array(rows[name]) == labels), abs=1e-6)
        assert figures["interval"][0] <= figures["accuracy"] <= figures["interval"][1]
    scores = np.array([rows[f"student_score_{name}"] for name in NAMES])
    assert scores.sum(axis=0) == pytest.approx(np.ones(ROWS["test"]), abs=1e-5)
    assert (scores.argmax(axis=0) == rows["student"]).all()

    with open(out / "confusion.csv", encoding="utf-8", newline="") as file:
        pairs = Counter((row["actual"], row["predicted"]) for row in csv.DictReader(file))
    assert [[pairs[actual, predicted] for predicted in NAMES] for actual in NAMES] == found["confusion"]
    with open(out / "reliability.csv", encoding="utf-8", newline="") as file:
        assert sum(int(row["rows"]) for row in csv.DictReader(file)) == ROWS["test"]
    assert {record["slice"] for record in found["slices"]} == {"source", "label", "length"}


def test_models_are_compared_by_what_the_gate_decides_on_and_slices_have_what_one_label_can_have(
    project: Path, params: Params, run: Callable[[str], Path]
) -> None:
    task = params.tasks["sentiment"]
    gate = task.gate.model_copy(update={"metric": "macro_f1"})
    by_f1 = params.model_copy(update={"tasks": {"sentiment": task.model_copy(update={"gate": gate})}})
    found = read_json(run_evaluate(by_f1, "sentiment", project, project / "by_f1") / "evaluation.json")
    by_accuracy = read_json(run("by_accuracy") / "evaluation.json")
    assert found["metric"] == "macro_f1" and found["student"]["accuracy"] == by_accuracy["student"]["accuracy"]
    assert found["comparison"]["relative_score"] == pytest.approx(
        found["student"]["macro_f1"] / found["teacher"]["macro_f1"], abs=1e-6
    )
    low, high = found["student"]["interval"]
    assert low <= found["student"]["macro_f1"] <= high
    assert found["slices"] == by_accuracy["slices"]


def test_slices_by_a_column_that_rows_keep(project: Path, params: Params) -> None:
    for split, count in ROWS.items():
        path = project / "rows" / f"{split}.parquet"
        cities = ["Rome" if row < 35 else ["Oslo", ""][row % 2] for row in range(count)]
        kept = pa.array([[("city", city)] for city in cities], CANONICAL.field("metadata").type)
        pq.write_table(pq.read_table(path).append_column("metadata", kept), path)
    values = params.model_dump()
    values["tasks"]["sentiment"]["evaluate"]["slices"] = ["city"]
    values["datasets"]["rotten_tomatoes"]["columns"]["metadata"] = ["city"]
    out = run_evaluate(Params.model_validate(values), "sentiment", project, project / "first")
    nothing, oslo, rome = read_json(out / "evaluation.json")["slices"]
    assert [(record["value"], record["rows"]) for record in (nothing, oslo)] == [("(nothing)", 3), ("Oslo", 2)]
    assert nothing["student"] is nothing["teacher_interval"] is oslo["student"] is None
    rows = pq.read_table(out / "predictions.parquet").to_pydict()
    right = np.array(rows["student"][:35]) == np.array(rows["label"][:35])
    assert (rome["value"], rome["rows"], rome["student"]) == ("Rome", 35, pytest.approx(right.mean(), abs=1e-6))
    assert rome["student_interval"][0] <= rome["student"] <= rome["student_interval"][1]


def with_an_opinion(student: Path) -> BertForSequenceClassification:
    """Make the weights of a student so large that words move its answers; return it."""
    model: BertForSequenceClassification = BertForSequenceClassification.from_pretrained(student).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(20)
    model.save_pretrained(student)
    return model


def test_people_exchanged_by_hand(project: Path, params: Params) -> None:
    path = project / "rows" / "test.parquet"
    table = pq.read_table(path)
    texts = ["he plot warm", "film she dull", *table["text"].to_pylist()[2:]]
    pq.write_table(table.set_column(1, "text", pa.array(texts)), path)
    model = with_an_opinion(project / "student")

    values = params.model_dump()
    values["tasks"]["sentiment"]["export"] |= {"format": "float32"}
    values["tasks"]["sentiment"]["calibration"] = "none"
    out = run_evaluate(Params.model_validate(values), "sentiment", project, project / "first")
    found = read_json(out / "evaluation.json")["counterfactuals"]
    assert set(found) == {"gender", "race", "religion", "origin", "orientation"}
    assert set(found["race"]) == {"sides", "templates"}  # no row speaks of it
    assert found["gender"]["rows"]["texts"] == 2 and found["gender"]["templates"]["texts"] == 50

    tokenizer = PreTrainedTokenizerFast.from_pretrained(project / "student")
    with torch.no_grad():
        asked = tokenizer(["he plot warm", "film she dull", "she plot warm", "film he dull"], return_tensors="pt")
        before, after = model(**asked).logits.softmax(-1).double().numpy().reshape(2, 2, 2)
    student = found["gender"]["rows"]["student"]
    assert student["flip_rate"] == np.mean(before.argmax(axis=1) != after.argmax(axis=1))
    assert student["score_gap"] == pytest.approx(np.abs(after - before)[:, 0].mean(), abs=5e-6)
    assert student["score_gap"] > 1e-3
    towards_women = (after[0] - before[0] + before[1] - after[1]) / 2
    label = NAMES.index(student["leaning"]["label"])
    assert student["leaning"]["difference"] == pytest.approx(towards_women[label], abs=5e-6)


def test_nothing_is_asked_again_without_groups(project: Path, params: Params) -> None:
    values = params.model_dump()
    values["tasks"]["sentiment"]["evaluate"]["identity_groups"] = []
    out = run_evaluate(Params.model_validate(values), "sentiment", project, project / "none")
    assert "counterfactuals" not in read_json(out / "evaluation.json")


def test_baselines_learn_what_stands_in_the_words(run: Callable[[str], Path]) -> None:
    baselines = read_json(run("first") / "evaluation.json")["baselines"]
    for name in ("naive_bayes", "tfidf_logistic_regression", "distilled_tfidf_logistic_regression"):
        assert baselines[name]["accuracy"] == 1.0
    assert baselines["majority"]["accuracy"] < 0.75


def test_the_same_inputs_give_the_same_bytes(run: Callable[[str], Path]) -> None:
    assert content_hash(run("first")) == content_hash(run("second"))


def test_sizes_and_times_of_a_model_folder(project: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(project / "student")
    found = efficiency.size(project / "student")
    assert found["parameters"] == sum(weights.numel() for weights in model.parameters())
    assert found["bytes"] == sum(path.stat().st_size for path in (project / "student").iterdir())
    tokens = TokenRows.load(project / "tokens" / "student" / "test")
    head = TASKS["text_classification"]()(list(NAMES))
    models = {name: (head.load(project / name), tokens) for name in ("teacher", "student")}
    timings = efficiency.compare(models, threads=1)
    for figures in timings.values():
        assert figures["rows_per_second"] > 0
        assert figures["latency_milliseconds"] > 0


def test_the_student_is_measured_as_it_is_served(run: Callable[[str], Path], project: Path) -> None:
    found = read_json(run("first") / "evaluation.json")
    rows = pq.read_table(project / "first" / "predictions.parquet").to_pydict()
    tokens, head = TokenRows.load(project / "tokens/student/test"), TASKS["text_classification"]()(list(NAMES))
    for name, folder in (("student", "exported"), ("student_in_pytorch", "student")):
        said = head.ask(head.load(project / folder), tokens, rows["text"], batch_size=1, name=name)
        assert rows[name] == said.answers.tolist()
    exported = found["exported"]
    assert exported["format"] == "int8" and exported["student_in_pytorch"]["bytes"] > found["student"]["bytes"]
    assert found["student"]["bytes"] == sum(path.stat().st_size for path in (project / "exported").iterdir())
    assert exported["agreement"] == np.mean(np.array(rows["student"]) == rows["student_in_pytorch"])
    assert set(found["baselines"]) == BASELINES


def test_probabilities_and_abstentions_are_those_of_the_served_model(project: Path, params: Params) -> None:
    with_an_opinion(project / "student")
    out = run_evaluate(params, "sentiment", project, project / "all")
    rows = pq.read_table(out / "predictions.parquet").to_pydict()
    sure = np.sort(np.maximum(*(rows[f"student_score_{name}"] for name in NAMES)))
    below = 10 + int(np.diff(sure[10:30]).argmax())  # the threshold lies in the widest gap of the middle ones
    values = params.model_dump()
    values["tasks"]["sentiment"]["thresholds"] = dict.fromkeys(NAMES, float(sure[below : below + 2].mean()))
    out = run_evaluate(Params.model_validate(values), "sentiment", project, project / "sure")
    found, rows = read_json(out / "evaluation.json"), pq.read_table(out / "predictions.parquet").to_pydict()
    calibration, abstention = found["calibration"], found["abstention"]
    assert calibration["temperature"] == read_json(project / "exported" / "export.json")["temperature"] != 1.0
    assert found["student"]["calibration_error"] == calibration["after"]["calibration_error"]
    assert calibration["before"]["loss"] != calibration["after"]["loss"]
    assert found["reliability"] == calibration["after"]["reliability"]

    folder = project / "registered"
    shutil.copytree(project / "student", folder)
    for name in publish.OF_GRAPH:
        shutil.copyfile(project / "exported" / name, folder / name)
    student = served_model.Student()
    student.load_context(PythonModelContext({"model": str(folder)}, {"inputs": ["text"]}))
    answers = student.predict(PythonModelContext({}, {}), pd.DataFrame({"text": rows["text"]})).to_dict("records")
    for row, answer in enumerate(answers):
        likeliest = NAMES[rows["student"][row]]
        assert answer["likeliest"] == likeliest
        assert answer["score"] == pytest.approx(rows[f"student_score_{likeliest}"][row], abs=2e-6)
        assert answer["label"] == (None if rows["student_abstained"][row] else likeliest)
    answered = ~np.array(rows["student_abstained"])
    assert abstention["coverage"] == answered.mean() == (ROWS["test"] - 1 - below) / ROWS["test"]
    right = np.array(rows["student"]) == np.array(rows["label"])
    assert abstention["accuracy_of_answered"] == pytest.approx(right[answered].mean(), abs=1e-6)
    assert found["student"]["accuracy"] == pytest.approx(
        right.mean(), abs=1e-6
    )  # what is withheld counts as it would be


def test_an_unknown_label_is_the_users_mistake(run: Callable[[str], Path], project: Path) -> None:
    path = project / "rows" / "test.parquet"
    table = pq.read_table(path)
    column = table.schema.get_field_index("label")
    pq.write_table(table.set_column(column, "label", pa.array(["odd"] * ROWS["test"])), path)
    with pytest.raises(InputError, match="label 'odd', expected one of"):
        run("first")
    assert not (project / "first").exists()
