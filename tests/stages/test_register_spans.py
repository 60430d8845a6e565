"""The register stage where spans are labelled: a version that answers with spans, a gate and a page on their F1."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from safetensors.torch import load_file, save_file

from pipeline import tracking
from pipeline.evaluation.report import closing_table
from pipeline.files import InputError, read_json, write_json
from pipeline.registry import champion
from tests.stages.stage_runs import run_evaluate, run_register
from tests.stages.tiny_span_project import FOUND, GIVEN, THERE, build_project, params, save_chance_student

SCORE = f"{2 * FOUND / (GIVEN + THERE):.1%}"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project up to and including `evaluate`, with the histories that training stages leave."""
    root = tmp_path_factory.mktemp("project")
    build_project(root)
    run_evaluate(params(), "slots", root, root / "reports/slots")
    histories = {"pretrain/history": "loss", "slots/finetune": "span_f1", "slots/distill": "span_f1"}
    for name, figure in histories.items():
        records = [{"step": step, "split": "dev", "loss": 1 / step, figure: 1 / step} for step in (1, 2)]
        write_json(root / "reports" / f"{name}.json", records)
    return root


@pytest.fixture
def project(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def test_versions_answer_with_spans_and_the_gate_compares_their_f1(project: Path) -> None:
    first = run_register(params(), "slots", project)["registered"]
    assert (first["version"], first["aliases"]) == (1, ["champion"])
    assert run_register(params(), "slots", project)["registered"] == first
    (answer,) = champion.predict("slots", [{"text": "play Madonna in New York"}])
    found = [(span["start"], span["end"], span["label"], span["text"]) for span in answer["spans"]]
    assert found == [(5, 12, "artist", "Madonna"), (16, 24, "city", "New York")]
    mlflow = tracking.connect()
    metrics = mlflow.get_run(mlflow.MlflowClient().get_model_version("slots", "1").run_id).data.metrics
    assert metrics["student_span_f1"] == pytest.approx(2 * FOUND / (GIVEN + THERE), abs=1e-6)
    assert {"conditional_random_field_span_f1", "relative_score", "student_rows_per_second"} <= set(metrics)

    nudge_weights(project / "student")  # other bytes, the same answers
    run_evaluate(params(), "slots", project, project / "reports/slots")
    second = run_register(params(), "slots", project)["registered"]
    assert (second["version"], second["aliases"]) == (2, ["champion"])
    assert second["decision"].startswith(
        "not worse than version 1 by 1.0 points: span_f1 +0.00 points on 40 rows, comparison 1"
    )

    save_chance_student(project / "student", seed=5)
    run_evaluate(params(), "slots", project, project / "reports/slots")
    third = run_register(params(), "slots", project)["registered"]
    assert (third["version"], third["aliases"]) == (3, ["challenger"])
    assert third["decision"].startswith("not shown to be not worse than version 2 by 1.0 points: span_f1 -")


def nudge_weights(student: Path) -> None:
    weights = load_file(student / "model.safetensors")
    weights["classifier.bias"] += 1e-3
    save_file(weights, student / "model.safetensors", metadata={"format": "pt"})


def test_a_champion_that_never_saw_these_rows_is_asked_again(project: Path) -> None:
    """The test rows get other names, as if they were new: what was logged with the champion does not cover them."""
    run_register(params(), "slots", project)
    nudge_weights(project / "student")
    for path in (project / "rows/test.parquet", project / "reports/slots/predictions.parquet"):
        table = pq.read_table(path)
        names = pa.array([f"new{row:04d}" for row in range(len(table))])
        pq.write_table(table.set_column(0, "id", names), path)
    second = run_register(params(), "slots", project)["registered"]
    assert (second["version"], second["aliases"]) == (2, ["champion"])
    assert "span_f1 +0.00 points on 40 rows" in second["decision"]


def test_a_task_of_another_type_needs_a_name_of_its_own(project: Path) -> None:
    run_register(params(), "slots", project)
    nudge_weights(project / "student")
    path = project / "reports/slots/predictions.parquet"
    table = pq.read_table(path)
    for name in ("label", "student"):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array([0] * len(table)))
    pq.write_table(table, path)
    expected = "tasks.slots: version 1, a champion, answers with spans, this task with labels; expected a name of its"
    with pytest.raises(InputError, match=expected):
        run_register(params(), "slots", project)


def test_summary_table_page_and_card_name_the_f1_of_spans(project: Path) -> None:
    summary = run_register(params(), "slots", project)
    assert summary["metric"] == "span_f1"
    assert f"{summary['student']['span_f1']:.1%}" == SCORE and "accuracy" not in summary["student"]
    assert {"conditional_random_field", "undistilled_student"} <= set(summary["baselines"])
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(closing_table(read_json(project / "reports/summary.json")))
    for words in ("span F1", SCORE, "100.0% of the teacher's span F1", "most frequent tag of each word"):
        assert words in capture.get()
    page = (project / "reports/index.html").read_text(encoding="utf-8")
    for words in (
        "Span F1",
        "Student, span F1 on dev",
        "Where the student&#39;s spans are furthest off",
        "city: york",
        "B-city",
        "CRF, distilled",
    ):
        assert words in page, words
    assert "Accuracy" not in page and "Macro F1" not in page
    card = (project / "reports/slots/model_card.md").read_text(encoding="utf-8")
    assert "pipeline_tag: token-classification" in card
    assert f"**{SCORE}**" in card and "| span F1 |" in card and "type: f1" in card
