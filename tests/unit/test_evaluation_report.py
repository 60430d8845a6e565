"""The summary's shape, the closing table's words, and a page that quotes whatever stands in the data."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline.evaluation import charts, page, report
from pipeline.files import InputError, read_json, write_json
from pipeline.params import Params, load_params
from pipeline.registry.model_card import model_card

ROOT = Path(__file__).parents[2]
BASELINES = {"majority": 0.5, "naive_bayes": 0.78, "undistilled_student": 0.79}


def network(figures: tuple[str, ...], value: float, parameters: int) -> dict[str, Any]:
    return dict.fromkeys(figures, value) | {
        "interval": [value - 0.02, value + 0.02],
        "calibration_error": 0.04,
        "parameters": parameters,
        "bytes": 4 * parameters,
    }


def flips(rate: float) -> dict[str, Any]:
    """What a model of that flip rate has."""
    return {
        "flip_rate": rate,
        "interval": [rate - 0.01, rate + 0.01],
        "score_gap": rate / 2,
        "score_gap_interval": [0.0, rate],
    }


def people(student_minus_teacher: float) -> dict[str, Any]:
    """What `evaluate` finds of rows in which people are exchanged."""
    found: dict[str, Any] = {
        model: flips(rate) | {"leaning": {"label": "positive", "difference": -0.013}}
        for model, rate in (("teacher", 0.021), ("student", 0.043))
    }
    margin = student_minus_teacher
    found["student_minus_teacher"] = {"difference": margin, "interval": [margin - 0.02, margin + 0.02]}
    return {"gender": {"sides": ["male", "female"], "rows": found | {"texts": 1234}}}


def changed(texts: int, before: float, after: float, margin: float) -> dict[str, Any]:
    """What `register` finds of texts whose flip rate was `before` and is `after`, `margin` to each side."""
    found: dict[str, Any] = {"before": flips(before), "after": flips(after)}
    found["after_minus_before"] = {
        figure: {"difference": difference, "interval": [difference - margin, difference + margin]}
        for figure, difference in (("flip_rate", before - after), ("score_gap", (before - after) / 2))
    }
    return found | {"texts": texts}


def write_reports(reports: Path, naive_bayes: float, figures: tuple[str, ...] = ("accuracy", "macro_f1")) -> None:
    """Write what `evaluate` and `register` leave of a task whose models have these figures, the main one first."""
    paired = {"difference": 0.02, "interval": [0.0, 0.04], "lower_bound": 0.001, "p_value": 0.04}
    baselines = {
        name: dict.fromkeys(figures, value) | {"interval": [value - 0.02, value + 0.02]}
        for name, value in (BASELINES | {"naive_bayes": naive_bayes}).items()
    }
    evaluation = {
        "task": "sentiment",
        "metric": figures[0],
        "labels": ["negative", "positive"],
        "classes": ["negative", "positive"],
        "rows": 3,
        "confidence": 0.95,
        "teacher": network(figures, 0.86, 22_000_000),
        "student": network(figures, 0.84, 4_000_000),
        "baselines": baselines,
        "comparison": {
            "relative_score": 0.977,
            "relative_score_interval": [0.96, 0.99],
            "recovered_share": 0.714,
            "recovered_share_interval": [0.5, 0.9],
            "agreement": 0.93,
        }
        | {f"student_minus_{name}": paired for name in ("teacher", *BASELINES)},
        "slices": [
            {"slice": "source", "value": "<b>s</b>", "rows": 3, "teacher": 0.9, "student": 0.8}
            | {"teacher_interval": [0.85, 0.95], "student_interval": [0.71, 0.89]},
            *(
                {"slice": "city", "value": f"<i>{place}</i>", "rows": place}
                | dict.fromkeys(("teacher", "student", "teacher_interval", "student_interval"))
                for place in range(1, 13)
            ),
        ],
        "counterfactuals": people(0.0),
        "confusion": [[1, 1], [0, 1]],
        "reliability": [{"rows": 3, "confidence": 0.9, "accuracy": 0.67}],
    }
    write_json(reports / "sentiment" / "evaluation.json", evaluation)
    write_json(
        reports / "sentiment" / "registered.json",
        {
            "registered": {
                "name": "sentiment",
                "version": 2,
                "aliases": ["champion"],
                "decision": "not worse than the champion by 1.0 points",
                "run_id": "r",
                "tracking_uri": "sqlite:///mlflow.db",
            },
            "timings": {
                "machine": "a processor, 2 cores",
                "threads": 2,
                "teacher": {"rows_per_second": 250.0, "latency_milliseconds": 8.0},
                "student": {"rows_per_second": 3000.0, "latency_milliseconds": 0.7},
            },
            "lineage": {},
        },
    )
    scores = np.array([0.9, 0.2, 0.8])
    rows = {"id": ["a", "b", "c"], "text": ["<script>alert(1)</script>", "b & c", "fine"], "label": [0, 1, 1]}
    answers = {"teacher": [0, 1, 1], "student": [1, 0, 1]}
    probabilities = {"student_score_negative": 1 - scores, "student_score_positive": scores}
    pq.write_table(pa.table(rows | answers | probabilities), reports / "sentiment" / "predictions.parquet")


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    write_reports(tmp_path, naive_bayes=0.78)
    return tmp_path


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "params.yaml")


def printed(summary: dict[str, Any]) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(report.closing_table(summary))
    return capture.get()


def test_what_was_exported_is_said(reports: Path, params: Params) -> None:
    path = reports / "sentiment" / "evaluation.json"
    found = read_json(path)
    summary = report.summary(reports, ["sentiment"])
    assert "served as a graph" not in printed(summary) + page.index_page(reports, params, summary)
    plain = network(("accuracy",), 0.841, 4_000_000) | {"bytes": 17_000_000}
    found["exported"] = {"format": "int8", "agreement": 0.9988, "student_in_pytorch": plain}
    found["student"]["bytes"] = 4_500_000
    write_json(path, found)
    record = read_json(reports / "sentiment" / "registered.json")
    record["timings"]["student_in_pytorch"] = {"rows_per_second": 777.0, "latency_milliseconds": 1.25}
    write_json(reports / "sentiment" / "registered.json", record)
    summary = report.summary(reports, ["sentiment"])
    said = (
        "It is served as a graph in int8: 4.5 megabytes where PyTorch has 17.0, accuracy 84.0% where PyTorch has "
        "84.1%. It answers alike on 99.88% of rows."
    )
    assert said in " ".join(printed(summary).split())
    shown = page.index_page(reports, params, summary)
    assert said in shown and "the student in int8 as it is served" in shown
    assert "student in PyTorch" in shown and ">777<" in shown and ">1.25<" in shown
    card = model_card("sentiment", found, dataset="reviews", hashes={}, code="c")
    assert "the same weights as a graph that computes in int8: 4.5 MB with\nthe tokenizer." in card
    assert "has 84.1% and 17.0 MB. Both answer alike on 99.88% of the rows." in card


def test_summary_has_the_documented_shape(reports: Path) -> None:
    task = report.summary(reports, ["sentiment", "not_registered_yet"])["tasks"]
    assert list(task) == ["sentiment"]
    found = task["sentiment"]
    assert found["metric"] == "accuracy"
    for model in ("teacher", "student"):
        assert {"accuracy", "parameters", "bytes", "rows_per_second"} <= set(found[model])
    assert found["baselines"] == BASELINES
    assert set(found["registered"]) == {"name", "version", "aliases", "decision"}
    assert found["comparison"]["speed_up"] == 12.0
    assert found["comparison"]["times_smaller"] == 5.5


def test_the_figure_of_the_task_is_named_everywhere(tmp_path: Path, params: Params) -> None:
    write_reports(tmp_path, naive_bayes=0.78, figures=("span_f1",))
    history = [{"step": step, "split": "dev", "loss": 1 / step, "span_f1": 0.8} for step in (1, 2)]
    write_json(tmp_path / "sentiment" / "finetune.json", history)
    summary = report.summary(tmp_path, ["sentiment"])
    found = summary["tasks"]["sentiment"]
    assert found["metric"] == "span_f1" and found["student"]["span_f1"] == 0.84
    assert found["baselines"] == BASELINES
    shown, page_text = printed(summary), page.index_page(tmp_path, params, summary)
    for text in (shown, page_text):
        assert "97.7% of the teacher&#39;s span F1" in text or "97.7% of the teacher's span F1" in text
        assert "accuracy" not in text.lower().replace(">accuracy</text>", "")  # but on the axis of the calibration
    for words in (
        "Span F1, with intervals",
        "Size, span F1 and speed",
        "Teacher, span F1 on dev",
        "span F1 on test, %",
    ):
        assert words in page_text


def test_a_confusion_of_many_classes_shows_the_most_frequent(reports: Path, params: Params) -> None:
    path = reports / "sentiment" / "evaluation.json"
    classes, counts = [f"class-{index}." for index in range(25)], np.diag(np.arange(25, 0, -1))
    counts[24, 0] = 100  # the last one is often named something else
    write_json(path, read_json(path) | {"classes": classes, "confusion": counts.tolist()})
    text = page.index_page(reports, params, report.summary(reports, ["sentiment"]))
    assert "the 20 most frequent of 25 classes" in text
    assert [name in text for name in classes] == [True] * 19 + [False] * 5 + [True]


def test_slices_have_intervals_and_small_groups_are_named(reports: Path, params: Params) -> None:
    text = page.index_page(reports, params, report.summary(reports, ["sentiment"]))
    assert "80.0% (71.0% to 89.0%)" in text and "90.0% (85.0% to 95.0%)" in text
    largest = ", ".join(f"&lt;i&gt;{place}&lt;/i&gt; ({place})" for place in range(12, 2, -1))
    assert f"By city too small for a figure, of fewer than 30 rows: {largest} and 2 more." in text


def test_a_broken_file_is_named(reports: Path) -> None:
    (reports / "sentiment" / "registered.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"registered\.json: not valid JSON"):
        report.summary(reports, ["sentiment"])


def test_closing_table_says_what_came_out(reports: Path) -> None:
    text = printed(report.summary(reports, ["sentiment"]))
    for words in (
        "86.0%",
        "84.0%",
        "22.0 M",
        "3,000",
        "97.7% of the teacher's accuracy (96.0% to 99.0%)",
        "12.0 times as fast",
        "recovers 71% (50% to 90%)",
        "sentiment version 2, @champion",
        "reports/index.html",
        "make ui",
    ):
        assert words in text
    assert "beats the student" not in text


def test_a_baseline_that_wins_is_named(tmp_path: Path, params: Params) -> None:
    write_reports(tmp_path, naive_bayes=0.88)
    summary = report.summary(tmp_path, ["sentiment"])
    sentence = "naive Bayes beats the student: 88.0% against 84.0%."
    assert sentence in printed(summary)
    assert sentence in page.index_page(tmp_path, params, summary)


def test_who_a_text_speaks_of_is_shown_and_a_student_that_minds_more_is_named(reports: Path, params: Params) -> None:
    path, sentence = reports / "sentiment" / "evaluation.json", "Distillation made it worse: with people told apart by"
    summary = report.summary(reports, ["sentiment"])
    text = page.index_page(reports, params, summary)
    for words in (
        "gender: male, female",
        "1,234 test rows",
        "4.3% (3.3% to 5.3%)",
        "positive -1.3 points for female",
        ">2.1 points<",
    ):
        assert words in text
    assert sentence not in printed(summary)  # the interval of the difference holds 0
    card = model_card("sentiment", read_json(path), dataset="rows", hashes={}, code="abc")
    assert "| gender | 1,234 test rows | 2.1% | 4.3% |" in card

    write_json(path, read_json(path) | {"counterfactuals": people(-0.022)})
    summary = report.summary(reports, ["sentiment"])
    expected = (
        f"{sentence} gender exchanged, the student changes its label of 4.3% of 1,234 test rows, the teacher of 2.1%"
    )
    assert expected in " ".join(printed(summary).split())
    assert expected in page.index_page(reports, params, summary)

    unmeasured = {key: value for key, value in read_json(path).items() if key != "counterfactuals"}
    write_json(path, unmeasured)
    summary = report.summary(reports, ["sentiment"])
    assert "speaks of" not in page.index_page(reports, params, summary) and sentence not in printed(summary)
    assert "This was not measured." in model_card("sentiment", unmeasured, dataset="rows", hashes={}, code="abc")


def test_before_and_after_is_shown_and_said_where_it_is_more_than_chance(reports: Path, params: Params) -> None:
    def shown(before: dict[str, Any] | None) -> tuple[str, str]:
        record = read_json(reports / "sentiment" / "registered.json")
        write_json(reports / "sentiment" / "registered.json", record | {"before": before})
        summary = report.summary(reports, ["sentiment"])
        return " ".join(printed(summary).split()), page.index_page(reports, params, summary)

    table, text = shown(None)
    assert "no champion is known that came before this student" in text and "before it" not in table
    table, text = shown({"version": 3, "reason": "its labels are <b>, good"})
    assert "version 3, the champion before this student, was not compared with it, as its labels are &lt;b&gt;" in text
    assert "before it" not in table

    both = {
        "version": 3,
        "left_out": 7,
        "all": changed(1284, before=0.099, after=0.051, margin=0.02),
        "groups": {
            "gender": {"sides": ["male", "female"], "rows": changed(1234, 0.05, 0.04, 0.02)},
            "race": {"sides": ["white", "black"], "templates": changed(50, 0.04, 0.28, 0.1)},
        },
    }
    table, text = shown(both)
    better = "5.1% of 1,284 test rows and templates, version 3 of 9.9%: 4.8 points better (2.8 to 6.8)."
    worse = "28.0% of 50 templates, version 3 of 4.0%: 24.0 points worse (14.0 to 34.0)."
    for said in (table, text):
        assert f"champion before it: with people exchanged, the student changes its label of {better}" in said
        assert f"with people told apart by race exchanged, the student changes its label of {worse}" in said
        assert "told apart by gender" not in said  # 1.0 points better, -1.0 to 3.0
    assert "asked about the same texts, without 7 test rows that version 3 has learnt from." in text
    row = text[text.index('<th scope="row">race: white, black</th><td class="number">50 templates</td><td') :]
    row = row[: row.index("</tr>")]
    for words in (">4.0% → 28.0%<", "-24.0 points (-34.0 to -14.0)", ">2.0 → 14.0 points<"):
        assert words in row
    assert "-12.0 points (-22.0 to -2.0)" in row

    evaluation = read_json(reports / "sentiment" / "evaluation.json")
    card = model_card("sentiment", evaluation, both, dataset="rows", hashes={}, code="abc")
    assert (
        "Beside the champion before it: this student changes its label of 5.1% of 1,284 texts, rows and templates "
        "together, version 3 of 9.9%: 4.8 points better (2.8 to 6.8)."
    ) in card
    assert "champion before" not in model_card("sentiment", evaluation, None, dataset="rows", hashes={}, code="abc")


def test_no_task_is_a_sentence_and_no_crash(tmp_path: Path, params: Params) -> None:
    summary = report.summary(tmp_path, ["sentiment"])
    assert "Nothing is registered yet." in printed(summary)
    assert "No task is registered yet." in page.index_page(tmp_path, params, summary)


def test_page_quotes_the_data_and_loads_nothing(reports: Path, params: Params) -> None:
    history = [
        {"step": step, "split": split, "loss": 1 / step, "accuracy": 0.8, "model": model}
        for model in ("student", "undistilled_student")
        for step in (1, 2)
        for split in ("train", "dev")
    ]
    write_json(reports / "sentiment" / "distill.json", history)
    comparison = {"corpus": "imdb", "init_from": params.init_from.model_dump(mode="json"), "tokens": 9}
    comparison["records"] = [{"task": "t", "seed": 1, "with": 0.861, "without": 0.857}]
    write_json(reports / "pretrain" / "comparison.json", comparison)
    text = page.index_page(reports, params, report.summary(reports, ["sentiment"]))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;s&lt;/b&gt;" in text
    assert "b &amp; c" in text
    for remote in ("src=", "@import", "<link", 'href="http'):
        assert remote not in text
    assert "Student, accuracy on dev" in text
    assert "86.1%" in text
    write_json(reports / "pretrain" / "comparison.json", comparison | {"corpus": "other"})
    assert "86.1%" not in page.index_page(reports, params, report.summary(reports, ["sentiment"]))
    write_json(reports / "pretrain" / "comparison.json", comparison)
    assert text == page.index_page(reports, params, report.summary(reports, ["sentiment"]))


def test_page_shows_the_curve_of_these_parameters_only(reports: Path, params: Params) -> None:
    points = [
        {"model": "teacher", "after": "2 epochs", "minutes": 1.8, "dev": 0.84, "test": 0.85},
        {"model": "student", "after": "9,000 texts", "minutes": 7.4, "dev": 0.8, "test": 0.82},
    ]
    settings = params.tasks["sentiment"].model_dump(mode="json")
    path = reports / "sentiment" / "quality_against_minutes.json"
    write_json(path, {"params": settings, "points": points})
    text = page.index_page(reports, params, report.summary(reports, ["sentiment"]))
    assert "What more minutes bring" in text and "9,000 texts" in text
    write_json(path, {"params": settings | {"max_length": 7}, "points": points})
    assert "minutes bring" not in page.index_page(reports, params, report.summary(reports, ["sentiment"]))


def test_ids_of_two_charts_do_not_meet() -> None:
    table = [{"rows": 5, "confidence": 0.8, "accuracy": 0.7}, {"rows": 9, "confidence": 0.9, "accuracy": 0.95}]
    first, second = (charts.reliability_chart(table, name) for name in ("one", "two"))
    assert first.startswith("<svg")
    assert not set(ids(first)) & set(ids(second))
    assert "#00000" not in first
    assert "currentColor" in charts.score_chart([charts.Measured("m", 0.8, (0.7, 0.9), charts.FIRST)], "accuracy", "a")


def test_a_score_over_steps_is_in_percent_with_as_many_digits_as_are_worth_reading(
    reports: Path, params: Params
) -> None:
    """Three epochs of which the best and the worst differ by 1 row of 1,629: no axis needs five decimals for it."""
    history = [
        {"step": step, "split": "dev", "loss": 1 / step, "accuracy": round(right / 1629, 6)}
        for step, right in ((100, 1370), (200, 1371), (300, 1371))
    ]
    write_json(reports / "sentiment" / "finetune.json", history)
    text = page.index_page(reports, params, report.summary(reports, ["sentiment"]))
    chart = text[text.index('aria-label="Teacher, accuracy on dev"') :]
    chart = chart[: chart.index("</figure>")]
    assert ">accuracy on dev, %</text>" in chart
    # 84.10 and 84.16 stand in the middle of one point
    assert [f">{tick}</text>" in chart for tick in ("83.8", "84.0", "84.2", "84.4", "84.6")] == [True] * 5
    assert not re.search(r">\d+\.\d\d+</text>", chart)


def test_the_difference_of_two_shares_is_in_points(reports: Path, params: Params) -> None:
    text = page.index_page(reports, params, report.summary(reports, ["sentiment"]))
    assert ">+2.0 points (+0.0 to +4.0)</td>" in text


def ids(svg: str) -> list[str]:
    return [part.split('"')[0] for part in svg.split(' id="')[1:]]


def test_how_sure_the_student_is_and_what_it_withholds_is_said(reports: Path, params: Params) -> None:
    path = reports / "sentiment" / "evaluation.json"
    before = {
        "calibration_error": 0.123,
        "loss": 0.5,
        "reliability": [{"rows": 3, "confidence": 0.95, "accuracy": 0.6}],
    }
    abstention = {"coverage": 0.75, "accuracy_of_answered": 0.9, "accuracy_of_abstained": 0.5}
    evaluation = read_json(path) | {
        "calibration": {"temperature": 1.5, "before": before, "after": before | {"calibration_error": 0.04}},
        "abstention": {"thresholds": {"negative": 0.8}} | abstention,
    }
    write_json(path, evaluation)
    summary = report.summary(reports, ["sentiment"])
    said = " ".join(report.conclusions(summary["tasks"]["sentiment"]))
    assert "probabilities are 4.0 points off on average, with logits divided by 1.5 as dev has it, 12.3 without" in said
    assert "it answers 75.0% of rows, 90.0% of them rightly; of the others it would have 50.0% right." in said
    assert "Calibration error 0.040, 0.123 without its temperature (dashed)" in page.index_page(
        reports, params, summary
    )
    card = model_card("sentiment", evaluation, dataset="reviews", hashes={}, code="abc")
    assert "0.040, with its logits divided by 1.5 (`export.json`), and 0.123 without." in card
    assert "(negative 0.8): it answers 75.0% of the rows, 90.0% of them rightly." in card
