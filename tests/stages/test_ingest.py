"""ingest from end to end: tables, lists and counts that agree, equal bytes for equal rows, one line for bad input."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.files import InputError, content_hash, read_json, sha256_of_file
from pipeline.params import Params, check_params
from pipeline.stages.ingest import run

ROOT = Path(__file__).parents[2]
WORDS = ["stone", "river", "lantern", "copper", "meadow", "violin", "harbour", "winter", "pepper", "castle", "marble"]
ROWS = Path("data/raw/rows.csv")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/held_out").mkdir()
    (tmp_path / "data/held_out/none.jsonl").touch()
    return tmp_path


def values(**changes: object) -> dict[str, Any]:
    """Return params.yaml with both datasets read from a local CSV file."""
    whole = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    source = {"kind": "file", "format": "csv", "header": None, "files": None, "origin": None}
    local = {"path": str(ROWS), "source": source, "only_sources": None}
    whole["datasets"]["rotten_tomatoes"] |= local | {"split": {"dev": 0.2, "test": 0.3}} | changes
    whole["datasets"]["imdb"] |= local
    return whole


def params(**changes: object) -> Params:
    return check_params(values(**changes), Path("params.yaml"))


def table(count: int = 50, seed: int = 0) -> list[tuple[str, str, str]]:
    chance = random.Random(seed)
    return [(" ".join(chance.choices(WORDS, k=12)), str(i % 2), f"site{i % 3}") for i in range(count)]


def write(rows: list[tuple[str, str, str]], path: Path = ROWS) -> None:
    path.write_text("text,label,source\n" + "".join(f"{','.join(row)}\n" for row in rows), encoding="utf-8")


def ingest(section: Params, dataset: str = "rotten_tomatoes", path: Path = ROWS, held_out: str = "none") -> Path:
    out = Path("data/ingested") / dataset
    lists = Path("data/held_out")
    run(
        section,
        dataset=dataset,
        path=path,
        held_out=lists / f"{held_out}.jsonl",
        out=out,
        held_out_out=lists / f"{dataset}.jsonl",
    )
    return out


def test_what_is_written_agrees_with_itself() -> None:
    rows = table()
    write([*rows, rows[0], ("<br />", "0", "site0"), (rows[1][0], "0", "site1"), *[(f"Oh {rows[2][0]} yes", "0", "x")]])
    out = ingest(params())
    tables = {name: pq.read_table(out / f"{name}.parquet") for name in ("train", "dev", "test")}
    report = read_json(out / "report.json")
    assert report["rows_read"] == 54
    assert report["splits"] == {name: split.num_rows for name, split in tables.items()}
    assert report["rows_kept"] == sum(report["splits"].values())
    assert report["rows_kept"] + sum(item["rows"] for item in report["removed"].values()) == 54
    assert report["removed"]["duplicate text"]["rows"] == 1
    assert report["removed"]["empty text"]["rows"] == 1
    assert report["removed"]["conflicting labels"]["rows"] == 2
    for split in tables.values():
        assert [(field.name, str(field.type)) for field in split.schema] == [
            ("id", "string"),
            ("text", "string"),
            ("pair", "string"),
            ("label", "string"),
            ("labels", "list<element: string>"),
            ("spans", "list<element: struct<start: int32, end: int32, label: string>>"),
            ("target", "string"),
            ("score", "double"),
            ("source", "string"),
            ("metadata", "list<element: struct<column: string, value: string>>"),
        ]
        for column in ("pair", "spans", "target", "score", "metadata"):
            assert split[column].null_count == split.num_rows
        assert split["id"].to_pylist() == sorted(split["id"].to_pylist())
        assert set(split["label"].to_pylist()) == {"negative", "positive"}
    held_out = [json.loads(line) for line in Path("data/held_out/rotten_tomatoes.jsonl").read_text().splitlines()]
    texts = {row["id"]: row["text"] for name in ("dev", "test") for row in tables[name].to_pylist()}
    assert {item["id"]: item["text"] for item in held_out} == texts


def test_further_columns_are_kept_beside_their_rows() -> None:
    rows = table()
    write(rows)
    columns: dict[str, Any] = {"text": "text", "label": "label", "metadata": ["label"]}
    with pytest.raises(InputError, match=r"columns: metadata must not name source, label, length"):
        params(columns=columns)
    ROWS.write_text("text,label,city\n" + "".join(f"{','.join(row)}\n" for row in rows), encoding="utf-8")
    columns["metadata"] = ["town"]
    with pytest.raises(InputError, match=r"rows\.csv: column 'town' \(columns\.metadata\) is missing, found .*'city'"):
        ingest(params(columns=columns))
    columns["metadata"] = ["city", "text"]
    out = ingest(params(columns=columns))
    kept = [row for split in ("train", "dev", "test") for row in pq.read_table(out / f"{split}.parquet").to_pylist()]
    given = {text: [{"column": "city", "value": city}, {"column": "text", "value": text}] for text, label, city in rows}
    assert {row["text"]: row["metadata"] for row in kept} == {row["text"]: given[row["text"]] for row in kept}


def test_counter_examples_are_training_rows_that_no_dev_or_test_row_resembles() -> None:
    rows, own = table(), Path("data/own.csv")
    write(rows)
    first = ingest(params())
    tables = {split: pq.read_table(first / f"{split}.parquet").to_pydict() for split in ("train", "dev", "test")}
    resembled, trained_on = tables["test"]["text"][0], tables["train"]["text"][0]
    new = [text for text, _, _ in table(20, seed=5)]
    given = [*new, f"{resembled} indeed", f"{trained_on} indeed"]
    other = "0" if tables["train"]["label"][0] == "positive" else "1"
    lines = [f"{text},{i % 2 if i < 21 else other}" for i, text in enumerate(given)]
    own.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    file = {"file": str(own), "sha256": sha256_of_file(own)}
    out = ingest(params(counter_examples=file, only_sources=["site0", "site1", "site2"]))
    for split in ("dev", "test"):
        assert pq.read_table(out / f"{split}.parquet").to_pydict() == tables[split]
    found = pq.read_table(out / "train.parquet").to_pylist()
    texts = {row["text"] for row in found if row["source"] == "counter_examples"}
    assert texts == {*new, given[-1]} and trained_on in {row["text"] for row in found}
    own.write_text("text,label\nanother,0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"own\.csv: sha256 is [0-9a-f]{64}, expected .* \(counter_examples\.sha256\)"):
        ingest(params(counter_examples=file))
    own.unlink()
    with pytest.raises(InputError, match=r"own\.csv: no such file, expected annotated rows \(counter_examples\.file\)"):
        ingest(params(counter_examples=file))


def test_the_held_out_list_grows_from_dataset_to_dataset() -> None:
    rows = table()
    write(rows)
    ingest(params())
    held_out = Path("data/held_out/rotten_tomatoes.jsonl").read_text().splitlines()
    reviews = table(200, seed=1)
    planted = [json.loads(line)["text"] for line in held_out[:3]]
    write([*reviews, (f"I think {planted[0]}!", "0", "a"), (planted[1][:50], "0", "a"), (planted[2].upper(), "0", "a")])
    out = ingest(params(), dataset="imdb", held_out="rotten_tomatoes")
    report = read_json(out / "report.json")
    assert {reason: item["rows"] for reason, item in report["removed"].items()} == {
        "contains a held-out text": 2,
        "phrase of a held-out text": 1,
    }
    chained = Path("data/held_out/imdb.jsonl").read_text().splitlines()
    assert set(held_out) < set(chained)
    assert len(chained) == len(held_out) + report["splits"]["dev"] + report["splits"]["test"]
    assert set(pq.read_table(out / "train.parquet")["label"].to_pylist()) == {None}


def test_pairs_and_targets_are_held_out_by_themselves() -> None:
    texts, pairs, targets = ([text for text, _, _ in table(40, seed)] for seed in (3, 4, 5))
    rows = list(zip(texts, pairs, targets, strict=True))
    ROWS.write_text("text,question,reply\n" + "".join(f"{','.join(row)}\n" for row in rows), encoding="utf-8")
    whole = values(split={"dev": 0.0, "test": 0.0})
    whole["datasets"]["imdb"] |= {"columns": {"text": "text", "pair": "question", "target": "reply"}}
    whole["datasets"]["imdb"]["split"] = {"dev": 0.2, "test": 0.3}
    section = check_params(whole, Path("params.yaml"))
    out = ingest(section, dataset="imdb")
    kept = {split: pq.read_table(out / f"{split}.parquet").to_pylist() for split in ("train", "dev", "test")}
    assert sorted((row["text"], row["pair"], row["target"]) for split in kept.values() for row in split) == sorted(rows)
    items = [json.loads(line) for line in Path("data/held_out/imdb.jsonl").read_text().splitlines()]
    pieces = {row[column] for split in ("dev", "test") for row in kept[split] for column in ("text", "pair", "target")}
    assert {item["text"] for item in items} == pieces and len(items) == len(pieces)
    planted = [kept["test"][0]["pair"], kept["test"][1]["target"], kept["dev"][0]["text"]]
    write([*table(60, seed=9), *((f"I say {text} now", "0", "a") for text in planted)])
    report = read_json(ingest(section, held_out="imdb") / "report.json")
    assert {reason: item["rows"] for reason, item in report["removed"].items()} == {"contains a held-out text": 3}


def read_params(path: Path, file_format: str, columns: dict[str, str], **changes: object) -> Params:
    """Return parameters whose corpus, imdb, is read from a file of another format."""
    source = {"kind": "file", "format": file_format, "header": None, "files": None}
    source |= {"origin": None, "piece_characters": 60 if file_format == "document" else None}
    whole = values()
    whole["datasets"]["imdb"] |= {"path": str(path), "source": source, "columns": columns} | changes
    return check_params(whole, Path("params.yaml"))


def test_running_text_is_split_by_position_and_keeps_its_lines() -> None:
    path, text = Path("data/raw/play.txt"), "\n".join(line for line, _, _ in table(200))
    path.write_text(f"{text}\n\n\n\n{text.upper()[:300]}")
    section = read_params(path, "document", {"text": "text"}, split={"dev": 0.1, "test": 0.1}, line_breaks="keep")
    out = ingest(section, dataset="imdb", path=path)
    kept = {split: pq.read_table(out / f"{split}.parquet")["text"].to_pylist() for split in ("train", "dev", "test")}
    places = {split: [text.find(piece) for piece in pieces] for split, pieces in kept.items()}
    assert max(places["dev"]) < min(places["train"]) <= max(places["train"]) < max(places["test"])
    assert 0.75 < sum(map(len, kept["train"])) / len(text) < 0.85
    assert 0.08 < sum(map(len, kept["test"])) / len(text) < 0.12


def test_questions_of_an_article_stay_together() -> None:
    path = Path("data/raw/questions.json")
    articles = []
    for number in range(30):
        context = f"<b>{table(1, number)[0][0]}</b>\n and  more &amp; more"
        answers = [{"text": context[place : place + 9], "answer_start": place} for place in (3, 8)]
        qas = [{"question": f"Which of {i}?", "answers": [answer]} for i, answer in enumerate(answers)]
        articles.append({"title": f"Article {number}", "paragraphs": [{"context": context, "qas": qas}]})
    path.write_text(json.dumps({"data": articles}))
    columns = {"text": "context", "pair": "question", "spans": "answers", "group": "title"}
    shares = {"dev": 0.2, "test": 0.3}
    section = read_params(path, "squad", columns, labels={"answer": "answer"}, split=shares)
    out = ingest(section, dataset="imdb", path=path)
    contexts = {}
    for split in ("train", "dev", "test"):
        rows = pq.read_table(out / f"{split}.parquet").to_pylist()
        contexts[split] = {row["text"] for row in rows}
        assert len(rows) == 2 * len(contexts[split]) > 0
        for row in rows:
            ((start, end, label),) = [tuple(span.values()) for span in row["spans"]]
            asked = {"Which of 0?": 0, "Which of 1?": 5}[row["pair"]]
            assert (row["text"][start:end], label) == (row["text"][asked : asked + 9].strip(), "answer")
            assert row["text"].endswith(" and more & more")
    assert sum(map(len, contexts.values())) == len(set().union(*contexts.values())) == 30


@pytest.mark.parametrize(
    ("file_format", "content", "columns", "message"),
    [
        ("csv", "a,b,c\nx,y,1\nx,z,\n", {"text": "a", "pair": "b", "score": "c"}, "row 2: score '', expected a finite"),
        ("csv", "a,b\nx,1\n", {"text": "a", "pair": "c"}, r"column 'c' \(columns.pair\) is missing, found the columns"),
        ("csv", "a,b\nx,\n", {"text": "a", "target": "b"}, "no row has text in column 'a', 'b', expected some"),
        ("squad", '{"data": [{"title": "x"}]}', {"text": "context"}, "article 1: no 'paragraphs', expected a list"),
        ("conversations", '{"x": {"messages": [1]}}', {"text": "text"}, "group 1 of its messages: a whole number"),
    ],
)
def test_a_file_of_a_wrong_shape_is_one_line(
    file_format: str, content: str, columns: dict[str, str], message: str
) -> None:
    path = Path("data/raw/wrong.txt")
    path.write_text(content)
    with pytest.raises(InputError, match=f"^data/raw/wrong.txt: .*{message}"):
        ingest(read_params(path, file_format, columns), dataset="imdb", path=path)


def test_shuffled_rows_give_the_same_bytes() -> None:
    rows = table(80)
    rows += [(f"{text} indeed", label, source) for text, label, source in rows[:10]] + rows[:5]
    write(rows)
    first = content_hash(ingest(params())), content_hash(Path("data/held_out/rotten_tomatoes.jsonl"))
    random.Random(3).shuffle(rows)
    write(rows)
    assert (content_hash(ingest(params())), content_hash(Path("data/held_out/rotten_tomatoes.jsonl"))) == first


def test_only_sources_and_max_rows() -> None:
    write(table(90))
    out = ingest(params(only_sources=["site0", "site1"], max_rows=40))
    report = read_json(out / "report.json")
    assert report["removed"]["other source"] == {"rows": 30, "examples": []}
    assert report["removed"]["beyond max_rows"]["rows"] == 20
    assert len(report["removed"]["beyond max_rows"]["examples"]) == 20
    assert report["rows_kept"] == 40
    assert set(pq.read_table(out / "train.parquet")["source"].to_pylist()) == {"site0", "site1"}


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ([*table(), ("odd", "2", "a")], {}, r"data/raw/rows.csv: row 51: label '2', expected one of \['0', '1'\]"),
        ([*table(), ("odd", "", "a")], {}, "row 51: label '', expected one of"),
        ([(text, "1", "a") for text, _, _ in table()], {}, "only one class, 'positive' in 50 rows"),
        ([("the same", str(i % 2), "a") for i in range(9)], {}, "all 9 rows hold the same text"),
        ([("<br />", "0", "a"), ("", "1", "a")], {}, "no row has text in column 'text'"),
        (table(4), {}, "rows.csv: 4 rows are too few to split"),
        (table(), {"only_sources": ["elsewhere"]}, r"no text from the sources \['elsewhere'\], found .*'site0'"),
        (
            table(),
            {"columns": {"text": "review", "label": "label", "source": None, "spans": None}},
            "column 'review' .* is missing",
        ),
    ],
)
def test_rows_that_cannot_be_used(rows: list[tuple[str, str, str]], changes: dict[str, object], message: str) -> None:
    write(table())
    before = content_hash(ingest(params()))
    write(rows)
    with pytest.raises(InputError, match=message):
        ingest(params(**changes))
    assert content_hash(Path("data/ingested/rotten_tomatoes")) == before, "what was good before is still there"


def request(row: int) -> str:
    """Return a block of the format `slots`: seven words, a thing of two of them and a place."""
    chance = random.Random(row)
    tags = ["O", "O", "B-thing", "I-thing", "O", "B-place", "O"]
    lines = [f"{word} {tag}" for word, tag in zip(chance.choices(WORDS, k=7), tags, strict=True)]
    return "\n".join([*lines, "find" if row % 2 else "buy"])


@pytest.mark.parametrize("column", ["spans", "label"])
def test_given_splits_with_spans_or_labels(column: str) -> None:
    folder = Path("data/raw/requests")
    folder.mkdir()
    for name, first, last in (("train.txt", 0, 60), ("dev.txt", 60, 75), ("test.txt", 75, 90)):
        (folder / name).write_text("\n\n".join(request(row) for row in range(first, last)))
    source = {"kind": "file", "format": "slots", "header": None, "origin": None}
    source |= {"files": {"train": ["train.txt"], "dev": ["dev.txt"], "test": ["test.txt"]}}
    labels = {"spans": {"thing": "object", "place": "place"}, "label": {"find": "find", "buy": "buy"}}[column]
    columns = {"text": "text", "label": None, "source": None, "spans": None} | {column: column}
    whole = values()
    whole["datasets"]["imdb"] |= {"path": str(folder), "source": source, "columns": columns, "labels": labels}
    whole["datasets"]["imdb"]["split"] = {"dev": 0.0, "test": 0.0}
    out = ingest(check_params(whole, Path("params.yaml")), dataset="imdb", path=folder)
    report = read_json(out / "report.json")
    assert (report["rows_read"], report["splits"]) == (90, {"train": 60, "dev": 15, "test": 15})
    for split in ("train", "dev", "test"):
        for row in pq.read_table(out / f"{split}.parquet").to_pylist():
            words = row["text"].split()
            marked = {row["text"][span["start"] : span["end"]]: span["label"] for span in row["spans"] or ()}
            if column == "spans":
                assert (row["label"], marked) == (None, {" ".join(words[2:4]): "object", words[5]: "place"})
            else:
                assert (row["label"] in labels, row["spans"]) == (True, None)


def test_a_broken_held_out_list_is_named() -> None:
    write(table())
    Path("data/held_out/broken.jsonl").write_text('{"id": "a", "text": "b"}\n["c"]\n')
    with pytest.raises(InputError, match=r"broken.jsonl: line 2: expected a JSON object with id and text"):
        ingest(params(), held_out="broken")
    with pytest.raises(InputError, match=r"absent.jsonl: no such file"):
        ingest(params(), held_out="absent")


def test_as_a_command_bad_input_is_one_line_and_exit_code_2(project: Path) -> None:
    with open("params.yaml", "w") as file:
        YAML(typ="safe").dump(values(), file)
    command = [sys.executable, "-m", "pipeline.stages.ingest", "--dataset", "rotten_tomatoes", "--path", str(ROWS)]
    command += ["--held-out", "data/held_out/none.jsonl", "--out", "data/out", "--held-out-out", "data/out.jsonl"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ROWS.write_text('text,label,source\nfine,0,a\n"never closed,1,a\n')
    broken = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert broken.returncode == 2
    assert broken.stderr.count("\n") == 1
    assert broken.stderr.startswith(
        "ingest@rotten_tomatoes: data/raw/rows.csv: row that starts on line 3: broken quote"
    )
    write(table())
    good = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert sorted(path.name for path in Path("data").iterdir()) == ["held_out", "out", "out.jsonl", "raw"]
