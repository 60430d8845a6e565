"""The stage: what passes, what is set aside, what stops it, and what lies on disk afterwards."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params, ValidationParams, load_params
from pipeline.schema import CANONICAL
from pipeline.stages.validate import run
from pipeline.validation import reading

ROOT = Path(__file__).parents[2]
DATASET = "rotten_tomatoes"
BOUNDS = {
    "policy": "quarantine",
    "max_quarantined_share": 0.1,
    "min_characters": 3,
    "max_characters": 2000,
    "min_label_share": 0.2,
    "max_damaged_share": 0.01,
    "min_letter_share": 0.5,
    "max_label_noise": 1.0,
    "max_drift": 1.0,
}
PLANTED = {
    "x": "length",
    "ruined by <br /> and <script>alert(1)</script> here": "markup",
    "the caf\ufffd and the na\ufffdve hero": "encoding",
    "10/10 !!! 100% :-) 2:0": "letters",
    "test row: number WORD aa!": "overlap",
}


def rows(split: str, count: int, *extra: str) -> list[dict[str, str]]:
    # letters only count for overlap, so the rows are told apart by a word of their own
    texts = [f"{split} row number word-{'a' * i}{i}" for i in range(count)] + list(extra)
    table = [
        {"id": hashlib.sha256(text.encode()).hexdigest()[:16], "text": text, "source": "here",
         "label": "negative" if number % 2 else "positive"}
        for number, text in enumerate(texts)
    ]  # fmt: skip
    return sorted(table, key=lambda row: row["id"])


@pytest.fixture
def ingested(tmp_path: Path) -> Path:
    """40 + 6 + 8 good rows and, in train, one row for each of PLANTED."""
    folder = tmp_path / "ingested"
    folder.mkdir()
    splits = {"train": rows("train", 40, *PLANTED), "dev": rows("dev", 6), "test": rows("test", 8)}
    for name, table in splits.items():
        pq.write_table(pa.Table.from_pylist(table, CANONICAL), folder / f"{name}.parquet")
    lines = [json.dumps({"id": row["id"], "text": row["text"]}) for row in splits["dev"] + splits["test"]]
    (tmp_path / "held_out.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def params() -> Callable[..., Params]:
    """The project's parameters with other values for the validation of DATASET."""

    def changed(spans: bool = False, pairs: bool = False, sets: bool = False, **values: Any) -> Params:
        given = load_params(ROOT / "params.yaml")
        dataset = given.datasets[DATASET]
        changes: dict[str, Any] = {"validation": ValidationParams.model_validate(BOUNDS | values)}
        changes["labels"] = {"0": "negative", "1": "positive"}
        if spans:
            changes["labels"] = {"num": "number", "word": "word"}
            changes["columns"] = dataset.columns.model_copy(update={"label": None, "spans": "spans"})
        if sets:
            changes["columns"] = dataset.columns.model_copy(update={"label": None, "labels": "topics"})
        if pairs:
            changes["labels"] = None
            columns = {"label": None, "pair": "question", "target": "reply", "score": "score"}
            changes["columns"] = dataset.columns.model_copy(update=columns)
        dataset = dataset.model_copy(update=changes)
        return given.model_copy(update={"datasets": {DATASET: dataset}})

    return changed


def validate(params: Params, ingested: Path, into: Path, page: str = "page.html") -> None:
    run(
        params,
        dataset=DATASET,
        rows=ingested,
        held_out=ingested.parent / "held_out.jsonl",
        out=into / "validated",
        quarantine=into / "quarantined.parquet",
        summary=into / "summary.json",
        page=into / page,
    )


def test_planted_rows_are_set_aside_with_their_reason_and_the_others_go_on(
    params: Callable[..., Params], ingested: Path, tmp_path: Path
) -> None:
    validate(params(), ingested, tmp_path / "a")
    aside = pq.read_table(tmp_path / "a/quarantined.parquet")
    assert aside.schema.names == [*CANONICAL.names, "reason"]
    assert sorted(aside["reason"].to_pylist()) == sorted(PLANTED.values())
    left = {name: pq.read_table(tmp_path / f"a/validated/{name}.parquet") for name in ("train", "dev", "test")}
    assert {name: len(table) for name, table in left.items()} == {"train": 40, "dev": 6, "test": 8}
    before = pq.read_table(ingested / "train.parquet").to_pylist()
    gone = set(aside["id"].to_pylist())
    assert left["train"].to_pylist() == [row for row in before if row["id"] not in gone]
    assert left["dev"] == pq.read_table(ingested / "dev.parquet")
    summary = read_json(tmp_path / "a/summary.json")
    assert (summary["rows"], summary["quarantined"]) == (59, 5)
    assert {name for name, check in summary["checks"].items() if not check["success"]} == set(PLANTED.values())
    page = (tmp_path / "a/page.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script" not in page


def test_the_same_rows_give_the_same_bytes(params: Callable[..., Params], ingested: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        validate(params(), ingested, tmp_path / name)
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")


def test_rows_that_are_checked_in_parts_are_judged_as_all_at_once(
    params: Callable[..., Params], ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate(params(), ingested, tmp_path / "whole")
    monkeypatch.setattr(reading, "BATCH_ROWS", 5)
    monkeypatch.setattr(reading, "PART_ROWS", 8)
    validate(params(), ingested, tmp_path / "parts")
    for file in ("summary.json", "page.html"):
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    for file in ("quarantined.parquet", *(f"validated/{split}.parquet" for split in ("train", "dev", "test"))):
        assert pq.read_table(tmp_path / "parts" / file).equals(pq.read_table(tmp_path / "whole" / file))


def test_an_id_that_stands_in_two_parts_stops_the_stage(
    params: Callable[..., Params], ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 5)
    monkeypatch.setattr(reading, "PART_ROWS", 8)
    table = pq.read_table(ingested / "train.parquet")
    first = table.slice(0, 1).set_column(1, "text", pa.array(["another text altogether"], table.schema.field(1).type))
    pq.write_table(pa.concat_tables([table, first]), ingested / "train.parquet")
    name = table["id"][0].as_py()
    with pytest.raises(InputError, match=f"check unique_ids: .* found 2 of 60 otherwise: train {name}, train {name}"):
        validate(params(), ingested, tmp_path / "out")


def with_spans(folder: Path, wrong: list[dict[str, Any]] | None = None) -> None:
    """Give every row its word `row` as a span of its own, one row of test the spans in `wrong`."""
    for split in ("train", "dev", "test"):
        table = pq.read_table(folder / f"{split}.parquet").to_pylist()
        for row in table:
            start = row["text"].find("row")
            good = [{"start": start, "end": start + 3, "label": "word"}] if start >= 0 else []
            row |= {"label": None, "spans": good}
        if split == "test" and wrong is not None:
            table[0]["spans"] = wrong
        pq.write_table(pa.Table.from_pylist(table, CANONICAL), folder / f"{split}.parquet")


def test_spans_go_on_with_their_rows(params: Callable[..., Params], ingested: Path, tmp_path: Path) -> None:
    with_spans(ingested)
    validate(params(spans=True), ingested, tmp_path / "a")
    for split in ("dev", "test"):
        passed = pq.read_table(tmp_path / f"a/validated/{split}.parquet")
        assert passed == pq.read_table(ingested / f"{split}.parquet") and passed.schema.equals(CANONICAL)
    aside = {row["reason"]: row["spans"] for row in pq.read_table(tmp_path / "a/quarantined.parquet").to_pylist()}
    assert aside["overlap"] == [{"start": 5, "end": 8, "label": "word"}] and aside["letters"] == []
    summary = read_json(tmp_path / "a/summary.json")
    assert (summary["rows"], summary["quarantined"], summary["label_noise"]) == (59, 5, None)
    assert {split: found["label_shares"] for split, found in summary["splits"].items()} == {
        split: {"word": 1.0} for split in ("train", "dev", "test")
    }
    assert {name for name in summary["checks"] if name.startswith(("label", "span"))} == {
        "span_inside",
        "span_apart",
        "span_label",
    }
    assert summary["checks"]["span_inside"]["checked"] == 55, "one in each row that has the word"


def with_label_sets(folder: Path, wrong: dict[str, list[str] | None] | None = None) -> None:
    """Give every row none, one or two labels, `positive` to half of them; the first row of a split the one in `wrong`.

    Rows of PLANTED are left out.
    """
    for split in ("train", "dev", "test"):
        table = pq.read_table(folder / f"{split}.parquet").to_pylist()
        table = [row for row in table if row["text"] not in PLANTED]
        for number, row in enumerate(table):
            row |= {"label": None, "labels": ([], ["positive"], ["negative", "positive"], [])[number % 4]}
        if wrong is not None and split in wrong:
            table[0]["labels"] = wrong[split]
        pq.write_table(pa.Table.from_pylist(table, CANONICAL), folder / f"{split}.parquet")


def test_rows_with_any_number_of_labels_go_on_and_each_label_has_its_share_of_the_rows(
    params: Callable[..., Params], ingested: Path, tmp_path: Path
) -> None:
    with_label_sets(ingested)
    validate(params(sets=True), ingested, tmp_path / "a")
    assert pq.read_table(tmp_path / "a/validated/dev.parquet") == pq.read_table(ingested / "dev.parquet")
    summary = read_json(tmp_path / "a/summary.json")
    assert (summary["rows"], summary["quarantined"], summary["label_noise"]) == (54, 0, None)
    assert summary["splits"]["train"]["label_shares"] == {"negative": 1 / 3, "positive": 2 / 3}
    assert sorted(summary["drift"]) == ["labels", "length", "words"]
    expected = r"check label_balance: expected each label to have at least 30.00% of the rows, found 1 of 2 otherwise"
    with pytest.raises(InputError, match=expected):  # 27 of 54 rows are positive, 13 negative
        validate(params(sets=True, min_label_share=0.3), ingested, tmp_path / "a")


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (["funny"], r"dev\.parquet: check label_set: expected labels among \['negative', 'positive'\], found 1 of"),
        (None, r"dev\.parquet: check labels_given: expected a list of labels, which may be empty, in every row, found"),
    ],
)
def test_a_wrong_set_of_labels_stops_the_stage(
    params: Callable[..., Params], ingested: Path, tmp_path: Path, wrong: list[str] | None, found: str
) -> None:
    with_label_sets(ingested, {"dev": wrong})
    with pytest.raises(InputError, match=found):
        validate(params(sets=True), ingested, tmp_path / "a")


PLANTED_IN_PAIRS = {
    "pair_non_empty": {"pair": " \u3000"},
    "pair_length": {"pair": "x"},
    "pair_encoding": {"pair": "caf\ufffd"},
    "pair_markup": {"pair": "so <b>bold</b>"},
    "target_non_empty": {"target": None},
    "target_length": {"target": "x" * 2001},
    "target_encoding, target_markup": {"target": "Ã© &amp; so on"},
}


def with_pairs(folder: Path, score: float = 2.5) -> None:
    """Give every row a pair, a target and a score, one row of dev the one given; plant PLANTED_IN_PAIRS in train."""
    for split in ("train", "dev", "test"):
        table = pq.read_table(folder / f"{split}.parquet").to_pylist()
        table = [row for row in table if row["text"] not in PLANTED]
        for row in table:
            row |= {"label": None, "pair": f"Why {row['text']}?", "target": "So", "score": 2.5}
            row["target"] = "a reply" if split == "train" else f"a reply of {row['id']}"
        if split == "train":
            for row, planted in zip(table, PLANTED_IN_PAIRS.values(), strict=False):
                row |= planted
        if split == "dev":
            table[0]["score"] = score
        pq.write_table(pa.Table.from_pylist(table, CANONICAL), folder / f"{split}.parquet")


def test_pairs_and_targets_are_judged_and_go_on_with_their_rows(
    params: Callable[..., Params], ingested: Path, tmp_path: Path
) -> None:
    with_pairs(ingested)
    validate(params(pairs=True, max_quarantined_share=0.2), ingested, tmp_path / "a")
    aside = {row["reason"]: row for row in pq.read_table(tmp_path / "a/quarantined.parquet").to_pylist()}
    assert sorted(aside) == sorted(PLANTED_IN_PAIRS)
    for reason, planted in PLANTED_IN_PAIRS.items():
        assert aside[reason].items() >= (planted | {"score": 2.5}).items()
    assert pq.read_table(tmp_path / "a/validated/test.parquet") == pq.read_table(ingested / "test.parquet")
    summary = read_json(tmp_path / "a/summary.json")
    assert (summary["rows"], summary["quarantined"], summary["label_noise"]) == (54, 7, None)
    assert summary["checks"]["score_given"]["success"]
    assert summary["splits"]["train"]["target_characters"]["max"] == 2001
    assert "<h2>Score, by quantile</h2>" in (tmp_path / "a/page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("score", [float("nan"), float("-inf"), None])
def test_a_score_that_is_no_number_stops_the_stage(
    params: Callable[..., Params], ingested: Path, tmp_path: Path, score: float
) -> None:
    with_pairs(ingested, score)
    expected = r"dev\.parquet: check score_given: expected a finite number .*, found 1 of 54 otherwise: dev \w+"
    with pytest.raises(InputError, match=expected):
        validate(params(pairs=True, max_quarantined_share=0.2), ingested, tmp_path / "a")


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ([(0, 99, "word")], "check span_inside: expected every span to be a piece of its row's text, found 1 of 55 "),
        ([(-1, 2, "word")], "check span_inside"),
        ([(3, 3, "word")], "check span_inside"),
        ([(2, 5, "word"), (4, 7, "word")], "check span_apart: .*, found 1 of 56 otherwise: test "),
        ([(4, 7, "word"), (0, 2, "word")], "check span_apart"),
        ([(0, 2, "num")], r"check span_label: expected labels of spans among \['number', 'word'\], found 1 of 55"),
    ],
)
def test_a_wrong_span_stops_the_stage(
    params: Callable[..., Params], ingested: Path, tmp_path: Path, wrong: list[tuple[int, int, str]], found: str
) -> None:
    with_spans(ingested, [dict(zip(("start", "end", "label"), span, strict=True)) for span in wrong])
    with pytest.raises(InputError, match=found):
        validate(params(spans=True), ingested, tmp_path / "a")


def test_a_row_without_a_list_of_spans_stops_the_stage(
    params: Callable[..., Params], ingested: Path, tmp_path: Path
) -> None:
    with_spans(ingested)
    rows = pq.read_table(ingested / "dev.parquet").to_pylist()
    rows[0]["spans"] = None
    pq.write_table(pa.Table.from_pylist(rows, CANONICAL), ingested / "dev.parquet")
    with pytest.raises(InputError, match=r"dev.parquet: check span_inside: .* found 1 of 55 otherwise: dev"):
        validate(params(spans=True), ingested, tmp_path / "a")


def test_what_stops_the_stage_is_named_and_leaves_what_was_there(
    params: Callable[..., Params], ingested: Path, tmp_path: Path
) -> None:
    into = tmp_path / "a"
    validate(params(), ingested, into)
    before = content_hash(into)
    with pytest.raises(InputError, match=r"train\.parquet: check length: .* found 1 of 59 otherwise: train \w+ \(1\)"):
        validate(params(policy="fail"), ingested, into)
    with pytest.raises(InputError, match=r"5 of 59 rows \(8\.47%\) would be set aside, expected at most 5\.00%"):
        validate(params(max_quarantined_share=0.05), ingested, into)
    with pytest.raises(InputError, match=r"check label_balance: .*50\.00% .*, found 1 of 2 otherwise: negative"):
        validate(params(min_label_share=0.5), ingested, into)
    with pytest.raises(InputError, match=r"train\.parquet: found no row that passes the checks"):
        pq.write_table(CANONICAL.empty_table(), ingested / "train.parquet")
        validate(params(), ingested, into)
    assert content_hash(into) == before


def test_a_page_that_cannot_be_written_leaves_nothing_half_done(
    params: Callable[..., Params], ingested: Path, tmp_path: Path
) -> None:
    into = tmp_path / "a"
    into.mkdir()
    (into / "pages").write_text("a file where a folder has to be", encoding="utf-8")
    with pytest.raises(OSError):
        validate(params(), ingested, into, page="pages/page.html")
    assert [item.name for item in into.iterdir()] == ["pages"]
