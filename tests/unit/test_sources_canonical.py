"""Rows of the canonical table: their ids, what they must have, which of two equal ones stays."""

import hashlib

import pytest

from pipeline.files import InputError
from pipeline.sources.canonical import Row
from pipeline.sources.reading import SourceRows
from pipeline.sources.removed import Removed
from pipeline.sources.tagged import Span
from tests.unit import source_rows
from tests.unit.source_rows import GIVEN, RAW, dataset, part

PAIRS = {"columns": {"text": "text", "pair": "pair", "score": "score"}, "labels": None}


def canonical(raw: SourceRows, **changes: object) -> tuple[list[Row], dict[str, dict[str, object]]]:
    removed = Removed()
    return source_rows.canonical([raw], dataset(**changes), removed), removed.report()


def test_an_id_is_of_the_text_and_of_a_pair_where_there_is_one() -> None:
    texts = ["one text", "one text", "other"]
    (row, _), _ = canonical(part("rows.csv", texts), **RAW)
    assert row.id == hashlib.sha256(row.text.encode()).hexdigest()[:16], "as it has always been"
    rows, removed = canonical(part("rows.csv", texts, pairs=["a", "b", "a"], scores=["1", "2.5", "-3e1"]), **PAIRS)
    assert sorted((row.text, row.pair, row.score) for row in rows) == [
        ("one text", "a", 1.0),
        ("one text", "b", 2.5),
        ("other", "a", -30.0),
    ]
    assert len({row.id for row in rows}) == 3 and removed == {}


def test_what_a_row_lacks_takes_it_away() -> None:
    raw = part("rows.csv", ["a", "b", "", "d"], pairs=["p", " <br> ", "p", "p"], targets=["t", "t", "", None])
    rows, removed = canonical(raw, columns={"text": "t", "pair": "p", "target": "w"}, labels=None)
    assert [(row.text, row.pair, row.target, row.label, row.score) for row in rows] == [("a", "p", "t", None, None)]
    assert {reason: item["rows"] for reason, item in removed.items()} == {
        "empty pair": 1,
        "empty text": 1,
        "empty target": 1,
    }


@pytest.mark.parametrize(
    ("score", "found"),
    [
        (None, "no score"),
        ("", "score ''"),
        ("high", "score 'high'"),
        ("nan", "score 'nan'"),
        ("1e999", "score '1e999'"),
    ],
)
def test_a_score_that_is_no_finite_number_is_named(score: str | None, found: str) -> None:
    raw = part("rows.csv", ["a", "b"], pairs=["c", "d"], scores=["1", score])
    with pytest.raises(InputError, match=f"rows.csv: row 2: {found}, expected a finite number .columns.score."):
        canonical(raw, **PAIRS)


def test_two_targets_of_a_text_are_no_conflict_and_two_scores_are() -> None:
    raw = part("rows.csv", ["Hi", "Hi", "Run"], targets=["Salut", "Hallo", "Lauf"])
    rows, removed = canonical(raw, columns={"text": "text", "target": "target"}, labels=None)
    assert {row.text: row.target for row in rows} == {"Hi": "Hallo", "Run": "Lauf"}
    assert {reason: item["rows"] for reason, item in removed.items()} == {"duplicate text": 1}
    raw = part("rows.csv", ["a", "a", "b", "b"], pairs=["c"] * 4, scores=["1", "2", "3", "3"])
    rows, removed = canonical(raw, **PAIRS)
    assert [(row.text, row.score) for row in rows] == [("b", 3.0)]
    assert {reason: item["rows"] for reason, item in removed.items()} == {"conflicting scores": 2, "duplicate text": 1}


def test_a_row_without_its_group_is_named() -> None:
    raw = part("rows.csv", ["a", "b"], groups=["x", " "])
    with pytest.raises(InputError, match=r"rows.csv: row 2: no group, expected what keeps rows in one split"):
        canonical(raw, columns={"text": "text", "group": "title"}, labels=None)


def test_lines_are_kept_where_the_parameters_say_so() -> None:
    raw = part("rows.csv", ["a  b\nc", "d"], targets=["e\n\n\nf", "g"])
    columns = {"text": "text", "target": "target"}
    for line_breaks, expected in (("keep", {"a b\nc": "e\n\nf", "d": "g"}), ("space", {"a b c": "e f", "d": "g"})):
        rows, _ = canonical(raw, columns=columns, labels=None, line_breaks=line_breaks)
        assert {row.text: row.target for row in rows} == expected


def test_of_equal_texts_the_kept_source_does_not_depend_on_order() -> None:
    section = dataset(columns={"text": "text", "label": None, "source": "site", "spans": None}, labels=None)
    for sources in (["b", "a"], ["a", "b"]):
        raw = part("rows.csv", ["one text", "one text", "other"])._replace(sources=[*sources, "c"])
        rows = source_rows.canonical([raw], section, Removed())
        assert [row.source for row in rows if row.text == "one text"] == ["a"]


SPANS = {
    "columns": {"text": "text", "spans": "spans"},
    "labels": {"per": "person", "loc": "place"},
}


def test_spans_are_named_and_a_text_of_two_readings_leaves() -> None:
    removed = Removed()
    section = dataset(**GIVEN | SPANS)
    texts = ["Ann  saw <b>Rome</b>", "nobody", "Rome", "Rome", "Rome", "Ann", "Ann"]
    ann, rome, again = Span(0, 3, "per"), Span(12, 16, "loc"), Span(0, 4, "loc")
    raw = part("train.txt", texts, spans=[[ann, rome], [], [again], [again], [], [ann], [ann]])
    rows = {row.text: row for row in source_rows.canonical([raw], section, removed)}
    assert {text: row.spans for text, row in rows.items()} == {
        "Ann saw Rome": (Span(0, 3, "person"), Span(8, 12, "place")),
        "nobody": (),
        "Ann": (Span(0, 3, "person"),),
    }
    assert all(row.label is None for row in rows.values())
    assert {reason: item["rows"] for reason, item in removed.report().items()} == {
        "conflicting labels": 3,
        "duplicate text": 1,
    }


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("org", r"train.txt: row 2: label 'org', expected one of \['per', 'loc'\] \(columns.spans, labels\)"),
        ("per", r"train.txt: only one class, 'person' in 2 rows, expected rows of each of \['person', 'place'\]"),
    ],
)
def test_labels_of_spans_are_those_of_the_parameters(label: str, message: str) -> None:
    raw = part("train.txt", ["Ann", "Rome"], spans=[[Span(0, 3, "per")], [Span(0, 4, label)]])
    with pytest.raises(InputError, match=message):
        source_rows.canonical([raw], dataset(**GIVEN | SPANS), Removed())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (SPANS | {"columns": SPANS["columns"] | {"label": "label"}}, "columns.label must be null where columns.spans"),
        (
            SPANS | {"source": dataset().source.model_dump()},
            "columns.spans must be null but for .* slots, squad",
        ),
        ({"columns": RAW["columns"]}, "labels are given, but columns.label, columns.labels and columns.spans are null"),
        ({"labels": {"a": "a", "b": "a"}}, r"labels must name at least 2 classes, got \['a'\]"),
        (SPANS | {"labels": {}}, "labels must name at least"),
        ({"columns": PAIRS["columns"]}, "labels must be null where columns.score is given"),
        ({"columns": {"text": "text", "target": "target"}}, "labels must be null where columns.target is given"),
    ],
)
def test_labels_name_those_of_rows_or_of_spans(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataset(**GIVEN | changes)
    dataset(**GIVEN | SPANS | {"labels": {"per": "person"}})


SETS = {"columns": {"text": "text", "labels": "topics"}, "labels": {"0": "art", "1": "food", "w": "war"}}


def test_any_number_of_labels_is_a_list_or_text_with_bars() -> None:
    cells = ['["w", "0"]', "[0, 1]", "[]", "w | 0|w", "", "1"]
    rows, removed = canonical(part("rows.csv", [*"abcdef"], label_sets=cells), **SETS)
    found = {row.text: row.labels for row in rows}
    assert found == {"a": ("art", "war"), "b": ("art", "food"), "c": (), "d": ("art", "war"), "e": (), "f": ("food",)}
    assert removed == {} and {row.label for row in rows} == {None}


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ('["0", "2"]', r"label '2', expected one of \['0', '1', 'w'\] \(columns.labels, labels\)"),
        ("0|", "label '', expected one of "),
        (None, "no labels, expected a list of them or text, both of which may be empty"),
        ("[0, null]", "labels '.0, null.', expected a list of texts or whole numbers"),
        ("[true]", "labels '.true.', expected a list of texts or whole numbers"),
        ('["0"', "labels '.\"0\"': not JSON "),
    ],
)
def test_labels_that_are_none_are_named_with_their_row(cell: str | None, found: str) -> None:
    with pytest.raises(InputError, match=f"^rows.csv: row 2: {found}"):
        canonical(part("rows.csv", [*"abcd"], label_sets=["0", cell, "1", "w"]), **SETS)


def test_a_label_that_no_row_has_is_named_and_a_text_with_two_sets_of_labels_leaves() -> None:
    with pytest.raises(InputError, match=r"the classes \['art', 'food'\] in 2 rows, expected rows of each of"):
        canonical(part("rows.csv", [*"ab"], label_sets=["0", "0|1"]), **SETS)
    rows, removed = canonical(part("rows.csv", [*"aab"], label_sets=["0", "0|1", "0|1|w"]), **SETS)
    assert [row.text for row in rows] == ["b"] and removed["conflicting labels"]["rows"] == 2


MARKED = {"markers": ["[E1]", "[/E1]"], "columns": {"text": "text", "label": "label"}}


def test_a_row_without_its_markers_or_with_one_twice_is_named() -> None:
    good = ["[E1]one[/E1] two", "one [E1] two [/E1]", ""]
    rows, removed = canonical(part("rows.csv", good, ["0", "1", "0"]), **MARKED)
    assert sorted(row.text for row in rows) == sorted(good[:2]) and removed["empty text"]["rows"] == 1
    for text, found in (("one [E1] two", r"'\[/E1\]' stands 0"), ("[E1] a [/E1] [E1]", r"'\[E1\]' stands 2")):
        with pytest.raises(InputError, match=rf"^rows.csv: row 2: marker {found} times in the text, expected once"):
            canonical(part("rows.csv", [good[0], text], ["0", "1"]), **MARKED)
