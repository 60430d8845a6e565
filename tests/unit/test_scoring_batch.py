"""`stillhouse score` with registered students of every kind: each format, what is set aside, the same bytes again."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.files import read_json
from pipeline.registry import champion
from pipeline.scoring import batch, scorer
from pipeline.scoring.rows import Columns
from pipeline.scoring.summary import ABSTAINED
from pipeline.scoring.tables import open_table
from tests.registered_students import PAIRED, STUDENTS, TEXTS, register_students, registry_in

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MLflow with a version of each student in a project whose tasks they are; the current folder is the project."""
    root = tmp_path_factory.mktemp("registry")
    with registry_in(root):
        yield register_students(root)


@pytest.fixture(autouse=True)
def models(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each version is loaded once: that takes longer than all else."""
    load = registry.pyfunc.load_model
    monkeypatch.setattr(registry.pyfunc, "load_model", lambda uri: LOADED.get(uri) or LOADED.setdefault(uri, load(uri)))


LOADED: dict[str, Any] = {}


def score(source: Path, out: Path, task: str = "sentiment", **options: Any) -> batch.Scored:
    return batch.score(scorer.Scorer(task, threads=1, **options), source, out)


def json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", STUDENTS)
def test_the_output_is_what_the_model_itself_answers(tmp_path: Path, task: str) -> None:
    rows = rows_for(task)
    scored = score(json_lines(tmp_path / "a.jsonl", rows), tmp_path / "out.jsonl", task)
    assert (scored.model, scored.tally.rows, scored.tally.set_aside) == (f"{task}/1", 4, 0)
    found = read_lines(tmp_path / "out.jsonl")
    assert found == expected(task)
    kinds = {"pairs": "label", "slots": "spans", "topics": "labels", "answers": "answer", "similar": "similarity"}
    kinds |= {"sentiment": "label", "unsure": "likeliest", "writing": "continuation", "translated": "translation"}
    assert all(kinds[task] in answer for answer in found)
    assert not (tmp_path / "out.set_aside.jsonl").exists()


@pytest.mark.parametrize("task", ["slots", "answers", "translated", "unsure"])
def test_every_format_holds_the_same_answers(tmp_path: Path, task: str) -> None:
    rows = rows_for(task)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    score(tmp_path / "a.parquet", tmp_path / "out.parquet", task)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == expected(task)
    for name, dialect in (("csv", "excel"), ("tsv", "excel-tab")):
        with open(tmp_path / f"a.{name}", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0], dialect=dialect)
            writer.writeheader()
            writer.writerows(rows)
        score(tmp_path / f"a.{name}", tmp_path / f"out.{name}", task)
        with open(tmp_path / f"out.{name}", encoding="utf-8", newline="") as file:
            options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if name == "tsv" else {}
            cells = [*csv.DictReader(file, strict=True, **options)]  # type: ignore[call-overload]
        (like, *_) = found = expected(task)
        assert [{name: as_said(cell, like[name]) for name, cell in row.items()} for row in cells] == found


def rows_for(task: str) -> list[dict[str, str]]:
    return [{"text": text} | ({"pair": "in"} if task in PAIRED else {}) for text in TEXTS]


def expected(task: str) -> list[dict[str, Any]]:
    return [{**answer, "model": f"{task}/1"} for answer in champion.predict(task, rows_for(task))]


def as_said(cell: str, like: Any) -> Any:
    return (cell or None) if isinstance(like, str) else json.loads(cell)


def test_columns_are_named_kept_and_chosen(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,review,label\n7,play madonna,x\n8,it,y\n", encoding="utf-8")
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    asked = ["score", str(tmp_path / "a.csv"), str(tmp_path / "out.csv"), "--text", "review"]
    assert "column 'label' is one that the output adds" in CliRunner().invoke(app, asked).output
    done = CliRunner().invoke(app, [*asked, "--key", "id", "--version", "1"])
    assert done.exit_code == 0, done.output
    assert done.output.endswith("out.csv: 2 rows answered by sentiment/1; reports/monitor/sentiment.html\n")
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["id", "label", "score", "model"] and list(table["id"]) == [7, 8]
    for arguments, expected in (
        ([*asked[:3]], "column 'text' is missing, found the columns ['id', 'review', 'label']"),
        ([*asked, "--version", "9"], "--version 9: not in the registry at "),
        ([*asked, "--pair", "label"], "--pair label: sentiment reads text alone"),
        ([*asked, "--task", "spam"], "--task: expected one of ['sentiment'], got spam"),
        (["score", "none.csv", "out.csv"], "none.csv: no such file, expected rows"),
        (["score", "a.csv", "out.parquet"], "out.parquet: expected another file that ends in .csv, as the input does"),
        (["score", "a.csv", "./a.csv"], "a.csv: expected another file that ends in .csv, as the input does"),
        (["score", "b.set_aside.jsonl", "b.jsonl"], "b.set_aside.jsonl: is where rows of b.jsonl are set aside"),
    ):
        refused = CliRunner().invoke(app, arguments)
        assert refused.exit_code == 2 and expected in refused.output, (arguments, refused.output)
        assert refused.output.count("\n") == 1, refused.output


def test_rows_that_the_model_refuses_are_set_aside_and_the_others_answered(tmp_path: Path) -> None:
    rows = [{"id": number, "text": f"{'in ' * (number % 5)}paris", "pair": "it"} for number in range(40)]
    rows[7]["pair"] = "in new york"  # a question of three tokens leaves no room
    rows[20]["text"], rows[21]["pair"] = "", None
    scored = score(json_lines(tmp_path / "a.jsonl", rows), tmp_path / "out.jsonl", "answers")
    assert scored.tally.rows + scored.tally.set_aside == 40
    assert [row["id"] for row in read_lines(tmp_path / "out.jsonl")] == [n for n in range(40) if n not in (7, 20, 21)]
    aside = read_lines(tmp_path / "out.set_aside.jsonl")
    assert [(row["row"], row["reason"]) for row in aside] == [
        (8, "pair has 3 tokens and leaves no room for the text, expected a question of at most 1"),
        (21, "text is blank, expected words"),
        (22, "no pair"),
    ]
    assert [json.loads(row["found"]) for row in aside] == [rows[number] for number in (7, 20, 21)]
    json_lines(tmp_path / "a.jsonl", rows[:5])
    score(tmp_path / "a.jsonl", tmp_path / "out.jsonl", "answers")
    assert not (tmp_path / "out.set_aside.jsonl").exists()  # what another run had set aside


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_run_that_failed_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(scorer, "SHARD_ROWS", 16)
    texts = [None if n % 30 == 4 else " ".join(["in", "new", "york"] * (1 + n % 3)) for n in range(90)]
    source, rows = tmp_path / f"a.{suffix}", pd.DataFrame({"id": range(90), "text": texts})
    if suffix == "jsonl":
        rows.to_json(source, orient="records", lines=True)
    else:
        {"csv": rows.to_csv, "parquet": rows.to_parquet}[suffix](source, index=False)
    whole = score(source, tmp_path / f"whole.{suffix}")
    asked: list[int] = []
    answer = champion.Champion.answer

    def failing(self: champion.Champion, texts: list[dict[str, str]]) -> list[dict[str, Any]]:
        asked.append(len(texts))
        if len(asked) == 4:
            raise OSError("the power fails")
        return answer(self, texts)

    monkeypatch.setattr(champion.Champion, "answer", failing)
    with pytest.raises(OSError, match="the power fails"):
        score(source, tmp_path / f"out.{suffix}")
    assert not (tmp_path / f"out.{suffix}").exists()
    assert score(source, tmp_path / f"out.{suffix}").tally == whole.tally
    assert sum(asked) == whole.tally.rows + asked[3]  # three shards of the first try were kept
    for name in (f"out.{suffix}", "out.set_aside.jsonl"):
        assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("out", "whole")).read_bytes()
    assert not list(Path(".stillhouse/checkpoints").glob("score*/*"))


def test_shards_end_by_rows_and_by_characters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scorer, "SHARD_ROWS", 3)
    monkeypatch.setattr(scorer, "SHARD_CHARACTERS", 100)
    rows = [{"text": "x" * length} for length in (1, 1, 1, 1, 200, 1, 60, 60, 1)]
    table = open_table(json_lines(tmp_path / "a.jsonl", rows), Columns({"text": "text"}, (), {}))
    found = [[row.number for row in shard] for shard in scorer._shards(table.rows())]
    assert found == [[1, 2, 3], [4, 5], [6, 7, 8], [9]]


def test_the_monitor_holds_each_run_once_and_shows_drift(tmp_path: Path, registry: Any) -> None:
    rows = [{"text": text} for text in TEXTS * 60]
    predicted = pd.DataFrame(champion.predict("sentiment", rows))
    table = {"id": range(240), "text": predicted["text"], "student": (predicted["label"] == "positive").astype(int)}
    for label in ("negative", "positive"):
        ours = predicted["score"].where(predicted["label"] == label, 1 - predicted["score"])
        table |= {f"student_score_{label}": ours}
    pd.DataFrame(table).to_parquet(tmp_path / "predictions.parquet")
    run_id = registry.MlflowClient().get_model_version("sentiment", "1").run_id
    registry.MlflowClient().log_artifact(run_id, str(tmp_path / "predictions.parquet"))

    folder = Path("reports/monitor/sentiment")
    for file in folder.glob("*.json"):
        file.unlink()
    score(json_lines(tmp_path / "same.jsonl", rows), tmp_path / "out.jsonl")
    score(tmp_path / "same.jsonl", tmp_path / "again.jsonl")
    (same,) = [read_json(file) for file in folder.glob("*.json")]
    assert {aspect: found["distance"] for aspect, found in same["drift"].items()} == pytest.approx(
        {"characters": 0, "label": 0, "score": 0}
    )
    assert same["label_shares"] == predicted["label"].value_counts(normalize=True).to_dict()
    assert same["means"]["score"] == pytest.approx(predicted["score"].mean())

    score(json_lines(tmp_path / "<b>.jsonl", rows[:1] * 200), tmp_path / "out.jsonl")
    other = next(run for file in folder.glob("*.json") if "<b>" in (run := read_json(file))["source"])
    counts = same["test_rows"]["counts"]["characters"]
    assert counts == {"16": 120, "2": 60, "4": 60}
    assert other["drift"]["characters"] == {"distance": 0.5, "p_value": pytest.approx(0, abs=1e-20)}
    page = Path("reports/monitor/sentiment.html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 3 and "<b>" not in page and "&lt;b&gt;.jsonl" in page
    assert page.count('class="number bad"') >= 1 and page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_monitor_counts_what_was_withheld(tmp_path: Path, registry: Any) -> None:
    """Of the texts one is answered with no label: as probably negative as its threshold allows."""
    score(json_lines(tmp_path / "a.jsonl", rows_for("unsure") * 25), tmp_path / "out.jsonl", "unsure")
    run = next(run for file in Path("reports/monitor/unsure").glob("*.json") if (run := read_json(file))["output"])
    assert run["tally"]["counts"]["label"] == {"negative": 50, "positive": 25, ABSTAINED: 25}
    page = Path("reports/monitor/unsure.html").read_text(encoding="utf-8")
    assert '<th class="number">Abstained</th>' in page and '<td class="number">25</td>' in page
    score(json_lines(tmp_path / "b.jsonl", rows_for("sentiment")), tmp_path / "out.jsonl")
    assert "Abstained" not in Path("reports/monitor/sentiment.html").read_text(encoding="utf-8")
