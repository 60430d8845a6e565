"""What is measured of a row: hand-counted values, and which rows overlap."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import InputError
from pipeline.schema import CANONICAL, SPLITS
from pipeline.validation.measures import (
    class_shares,
    measure,
    measure_texts,
    read_texts,
)
from pipeline.validation.reading import held_out_texts, read_batches


def write(folder: Path, held_out: list[str] | None = None, **splits: list[str | None]) -> tuple[Path, Path]:
    """Write splits of texts as canonical tables, ids t0, t1 … d0 … x0 …, and the held-out list."""
    folder.mkdir(exist_ok=True)
    for split in SPLITS:
        texts = splits.get(split, [])
        letter = {"train": "t", "dev": "d", "test": "x"}[split]
        rows = [{"id": f"{letter}{i}", "text": text, "label": "a", "source": "s"} for i, text in enumerate(texts)]
        pq.write_table(pa.Table.from_pylist(rows, CANONICAL), folder / f"{split}.parquet")
    lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(held_out or [])]
    list_file = folder / "held_out.jsonl"
    list_file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder, list_file


def test_the_measures_of_a_text_are_those_counted_by_hand(tmp_path: Path) -> None:
    table = measure(*write(tmp_path, train=["  So good 10!\n"])).iloc[0]
    assert (table["id"], table["split"], table["label"]) == ("t0", "train", "a")
    assert table["characters"] == 11
    assert table["letter_share"] == pytest.approx(6 / 9)
    assert (table["damaged_share"], table["markup"], table["overlaps"]) == (0.0, 0, False)


@pytest.mark.parametrize("text", ["", "  \n\t", "\u00a0\u3000", None])
def test_a_blank_text_has_no_measures(tmp_path: Path, text: str | None) -> None:
    row = measure(*write(tmp_path, train=[text])).iloc[0]
    assert row[["characters", "damaged_share", "markup", "letter_share"]].isna().all()


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("caf\ufffd", 1),
        ("cafÃ© and thÃ¨", 2),
        ("itâ€™s", 1),
        ("bell\x07 and nul\x00", 2),
        ("old\x96dash", 1),
        ("Ð¿Ñ€Ð¸", 3),
        ("ðŸ˜€", 1),
        ("café, naïve, “IRMÃ”, CAFÉ’s, groß“, tab\tline\n, 很好, привет 😀", 0),
    ],
)
def test_signs_of_encoding_damage_are_counted(tmp_path: Path, text: str, signs: int) -> None:
    row = measure(*write(tmp_path, train=[text])).iloc[0]
    assert row["damaged_share"] == pytest.approx(signs / len(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a<br />b<BR>c", 2),
        ('<a href="x">link</a>', 2),
        ("&amp; &#39; &#x27; &nbsp;", 4),
        ("<!-- note -->", 1),
        ("I <3 it <sigh>, 1 < 2 > 0, R&D; Q&A", 0),
    ],
)
def test_markup_is_counted(tmp_path: Path, text: str, found: int) -> None:
    assert measure(*write(tmp_path, train=[text])).iloc[0]["markup"] == found


def test_letters_of_every_script_count_and_combining_marks_do_not_dilute_them(tmp_path: Path) -> None:
    table = measure(*write(tmp_path, train=["很好看", "नमस्ते", "привет", "12345"]))
    assert table["letter_share"].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_overlap_is_named_in_the_row_that_would_be_trained_on_never_in_the_one_that_measures(tmp_path: Path) -> None:
    table = measure(
        *write(
            tmp_path,
            held_out=["Of another dataset."],
            train=["Stands in TEST!", "of another, dataset", "stands in dev", "twice in train", "Twice in train", "10"],
            dev=["Stands: in dev", "In dev and test"],
            test=["stands in test", "in dev and test.", "of another dataset", "10"],
        )
    )
    assert table[table["overlaps"]]["id"].tolist() == ["t0", "t1", "t2", "d1"]


def write_rows(folder: Path, **splits: list[dict[str, object]]) -> Path:
    """Write splits of rows as canonical tables; of each only what is given is there."""
    for split in SPLITS:
        pq.write_table(pa.Table.from_pylist(splits.get(split, []), CANONICAL), folder / f"{split}.parquet")
    return folder


def test_pairs_and_targets_are_measured_by_themselves(tmp_path: Path) -> None:
    rows = [
        {"id": "t0", "text": "x", "pair": " caf\ufffd ", "target": "a <b>b</b>"},
        {"id": "t1", "text": "", "pair": "\n"},
    ]
    write_rows(tmp_path, train=rows, test=[{"id": "x0", "text": "x", "pair": "why?"}])
    pairs, targets = (measure_texts(tmp_path, column).set_index("id") for column in ("pair", "target"))
    assert pairs["split"].to_dict() == {"t0": "train", "t1": "train", "x0": "test"}
    assert pairs.loc["t0", ["characters", "damaged_share", "markup"]].tolist() == [4, 0.25, 0]
    assert pairs.loc["t1", ["characters", "damaged_share", "markup"]].isna().all()
    assert targets["characters"].tolist()[0] == 10 and targets["markup"].tolist()[0] == 2


def test_a_score_is_measured_where_it_is_a_finite_number(tmp_path: Path) -> None:
    scores = [1.5, float("nan"), float("inf"), None]
    rows = [{"id": f"t{i}", "text": "x", "score": score} for i, score in enumerate(scores)]
    (tmp_path / "list").write_text("")
    found = measure(write_rows(tmp_path, train=rows), tmp_path / "list")["score"]
    assert found.tolist()[0] == 1.5 and found[1:].isna().all()


def test_rows_with_a_pair_overlap_as_a_whole_and_with_what_others_hold_out(tmp_path: Path) -> None:
    train = [
        {"id": "t0", "text": "One passage.", "pair": "Who is it?"},
        {"id": "t1", "text": "one PASSAGE", "pair": "why?"},
        {"id": "t2", "text": "Of", "pair": "others"},
        {"id": "t3", "text": "alone", "target": "a reply"},
        {"id": "t4", "text": "a reply"},
    ]
    test = [{"id": "x0", "text": "One passage", "pair": "Why?"}, {"id": "x1", "text": "z", "target": "a reply"}]
    rows = write_rows(tmp_path, train=train, test=test)
    texts = ["One passage", "Why?", "a reply", "z", "of others", "else"]
    (tmp_path / "list").write_text("".join(json.dumps({"id": text, "text": text}) + "\n" for text in texts))
    assert list(held_out_texts(tmp_path / "list", rows)) == ["of others", "else"]
    found = measure(rows, tmp_path / "list")
    assert found[found["overlaps"]]["id"].tolist() == ["t1", "t2"]
    assert read_texts(rows / "test.parquet") == ["One passage\nWhy?", "z"]


def test_a_label_without_rows_has_share_zero(tmp_path: Path) -> None:
    shares = class_shares(measure(*write(tmp_path, train=["x", "y"])), ["a", "b"])
    assert shares.to_dict("records") == [
        {"label": "a", "rows": 2, "share": 1.0},
        {"label": "b", "rows": 0, "share": 0.0},
    ]


def test_empty_splits_are_measured(tmp_path: Path) -> None:
    assert len(measure(*write(tmp_path))) == 0


def test_a_missing_split_a_broken_file_and_a_missing_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.parquet: no such file"):
        list(read_batches(tmp_path / "train.parquet"))
    (tmp_path / "train.parquet").write_bytes(b"text,label\n")
    with pytest.raises(InputError, match=r"train\.parquet: not a readable Parquet file"):
        list(read_batches(tmp_path / "train.parquet"))
    pq.write_table(pa.table({"id": ["1"], "body": ["x"]}), tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"train\.parquet: found columns id, body, expected id, text, pair, label"):
        list(read_batches(tmp_path / "train.parquet"))


@pytest.mark.parametrize("line", ['{"id": "1"}', "[1]", "plain"])
def test_a_broken_line_of_the_held_out_list_is_named(tmp_path: Path, line: str) -> None:
    rows, held_out = write(tmp_path, train=["x"], held_out=["fine"])
    held_out.write_text(held_out.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"held_out\.jsonl:2: found .*, expected an object with id and text"):
        measure(rows, held_out)
