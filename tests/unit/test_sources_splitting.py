"""Splits do not move when data grow, keep their shares, and share no text."""

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.files import InputError
from pipeline.params import DatasetParams
from pipeline.sources.canonical import Removed, Row, canonical_rows
from pipeline.sources.reading import SourceRows
from pipeline.sources.splitting import check_splits, split_rows
from pipeline.sources.tagged import Span

WORDS = ["stone", "river", "lantern", "copper", "meadow", "violin", "harbour", "winter", "pepper", "castle", "marble"]


def dataset(**changes: object) -> DatasetParams:
    values: dict[str, object] = {
        "path": "data/raw/rows.csv",
        "held_out": "none",
        "source": {"kind": "file", "format": "csv", **dict.fromkeys(("header", "files", "origin"))},
        "columns": {"text": "text", "label": "label"},
        "line_breaks": "space",
        "only_sources": None,
        "labels": {"0": "negative", "1": "positive"},
        "split": {"dev": 0.2, "test": 0.3},
        "decontamination": {"min_letters": 24, "similarity": 0.8, "shingle_words": 3, "permutations": 64},
        "validation": {
            "policy": "fail",
            "max_quarantined_share": 0.0,
            "min_characters": 1,
            "max_characters": 1000,
            "min_label_share": 0.0,
            "max_damaged_share": 0.0,
            "min_letter_share": 0.0,
            "max_label_noise": 1.0,
            "max_drift": 1.0,
        },
        "max_rows": None,
    }
    return DatasetParams.model_validate(values | changes)


RAW = {"columns": {"text": "text"}, "labels": None}
GIVEN = {
    "source": {"kind": "file", "format": "slots", "header": None, "origin": None}
    | {"files": {"train": ["train.txt"], "dev": ["dev.txt"], "test": ["test.txt"]}},
    "split": {"dev": 0.0, "test": 0.0},
}


def sentences(count: int, seed: int = 0, words: int = 12) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choice(WORDS) for _ in range(words)) for _ in range(count)]


def split(
    texts: list[str], given_labels: list[str] | None = None, held_out: tuple[str, ...] = (), **changes: object
) -> tuple[dict[str, list[str]], dict[str, dict[str, object]]]:
    """Return the texts of each split and the report of what left."""
    section, removed = dataset(**changes), Removed()
    labels: list[str | None] = [*given_labels] if given_labels else [str(i % 2) for i in range(len(texts))]
    rows = canonical_rows([part("rows.csv", texts, labels)], "rows", section, removed)
    splits = split_rows(rows, held_out, section, removed)
    return {name: [row.text for row in rows] for name, rows in splits.items()}, removed.report()


def part(
    name: str,
    texts: list[str],
    labels: list[str | None] | None = None,
    split: str = "train",
    spans: list[list[Span]] | None = None,
    **others: list[str | None],
) -> SourceRows:
    """Return rows of which the other columns are empty, or those given by the names of SourceRows in `others`."""
    nothing: list[Any] = [None] * len(texts)
    values = dict.fromkeys(SourceRows._fields, nothing) | {"labels": labels or nothing, "spans": spans or nothing}
    return SourceRows(**values | {"name": name, "split": split, "texts": texts} | others)


def test_shares_are_those_asked_for() -> None:
    splits, removed = split(sentences(4000), **RAW)
    assert removed == {}
    assert 0.27 < len(splits["test"]) / 4000 < 0.33
    assert 0.17 < len(splits["dev"]) / 4000 < 0.23


def test_max_rows_is_no_sample_of_one_split() -> None:
    splits, removed = split(sentences(1000), max_rows=300, **RAW)
    assert sum(map(len, splits.values())) == 300
    assert removed["beyond max_rows"]["rows"] == 700
    assert 0.2 < len(splits["test"]) / 300 < 0.4


def near_copy(text: str) -> str:
    return f"{text} indeed"  # 10 of 11 shingles shared


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_growing_data_never_moves_a_row(data: st.DataObject) -> None:
    texts = sentences(30)
    indices = st.integers(0, len(texts) - 1)
    more = sentences(data.draw(st.integers(0, 10)), seed=1)
    more += [near_copy(texts[i]) for i in data.draw(st.lists(indices, max_size=8))]
    more += [texts[i].upper() for i in data.draw(st.lists(indices, max_size=4))]
    more += [f"{texts[i]} and {texts[j]}" for i, j in data.draw(st.lists(st.tuples(indices, indices), max_size=5))]
    more += [texts[i][:45] for i in data.draw(st.lists(indices, max_size=5))]
    before, _ = split(texts, **RAW)
    after, _ = split(data.draw(st.permutations(texts + more)), **RAW)
    for name, members in before.items():
        for other in set(after) - {name}:
            assert not set(members) & set(after[other]), f"a row moved from {name} to {other}"
    assert set(before["test"]) <= set(after["test"]), "unlabelled test rows stay for ever"


def test_order_does_not_matter() -> None:
    texts = sentences(100) + [near_copy(text) for text in sentences(20)]
    assert split(texts, **RAW) == split(texts[::-1], **RAW)


def test_no_split_contains_a_text_of_a_more_held_out_one() -> None:
    texts = sentences(60)
    texts += [f"Well, {text}! And then some more." for text in texts] + [text[:40] for text in texts]
    splits, removed = split(texts, **RAW)
    letters = {name: ["".join(filter(str.isalpha, text.lower())) for text in rows] for name, rows in splits.items()}
    for lower, upper in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert letters[upper]
        assert not [(a, b) for a in letters[lower] for b in letters[upper] if a in b or b in a]
    assert sum(map(len, splits.values())) + sum(item["rows"] for item in removed.values()) == len(texts)


def test_training_rows_leave_for_the_held_out_list() -> None:
    texts = sentences(40)
    trained = split(texts)[0]["train"]
    lists = (f"Oh, {trained[0]}", trained[1][:40], near_copy(trained[2]), "x " * 20)
    splits, removed = split(texts, held_out=lists)
    assert set(trained) - set(splits["train"]) == set(trained[:3])
    assert removed["phrase of a held-out text"]["rows"] == 2
    assert removed["contains a held-out text"]["rows"] == 1


def test_near_duplicate_by_words_alone_leaves() -> None:
    text = " ".join(sentences(3, words=20))
    changed = text.replace(text.split()[30], "elsewhere", 1)
    trained = split([*sentences(40), text], split={"dev": 0.0, "test": 0.0}, **RAW)[0]["train"]
    splits, removed = split(trained, held_out=(changed,), split={"dev": 0.0, "test": 0.0}, **RAW)
    assert removed["near-duplicate of a held-out text"]["rows"] == 1
    assert text not in splits["train"]


def test_a_labelled_test_row_stays_whatever_the_list_says_and_a_raw_one_leaves() -> None:
    texts = sentences(40)
    row = split(texts)[0]["test"][0]
    assert row in split(texts, held_out=(row,))[0]["test"]
    assert row not in split(texts, held_out=(row,), **RAW)[0]["test"]


def test_short_texts_of_the_list_leave_only_by_equality() -> None:
    texts = [*sentences(30), "Nice film", "a nice film it was"]
    splits, _ = split(texts, held_out=("nice film!",), split={"dev": 0.0, "test": 0.0}, **RAW)
    assert "Nice film" not in splits["train"]
    assert "a nice film it was" in splits["train"]


def test_conflicting_labels_leave_together() -> None:
    texts = sentences(30)
    conflicts = [near_copy(texts[0]), texts[1].title(), texts[2], texts[3]]
    labels = [str(i % 2) for i in range(30)] + ["1", "0", "1", "1"]
    splits, removed = split(texts + conflicts, labels)
    kept = {text for rows in splits.values() for text in rows}
    assert not kept & {texts[0], near_copy(texts[0]), texts[1], texts[1].title(), texts[2]}
    assert texts[3] in kept
    assert removed["conflicting labels"]["rows"] == 6
    assert removed["duplicate text"]["rows"] == 1


def test_of_equal_texts_the_kept_source_does_not_depend_on_order() -> None:
    section = dataset(columns={"text": "text", "label": None, "source": "site", "spans": None}, labels=None)
    for sources in (["b", "a"], ["a", "b"]):
        raw = part("rows.csv", ["one text", "one text", "other"])._replace(sources=[*sources, "c"])
        rows = canonical_rows([raw], "rows", section, Removed())
        assert [row.source for row in rows if row.text == "one text"] == ["a"]


def test_a_class_that_a_split_lacks_is_named() -> None:
    row = Row("0" * 16, "text", None, "negative", None, None, None, "rows", "train", None)
    other = row._replace(label="positive")
    full = {"train": [row, other], "dev": [row, other], "test": [row, other]}
    check_splits("rows.csv", full, dataset())
    check_splits("rows.csv", full | {"dev": []}, dataset(split={"dev": 0.0, "test": 0.3}))
    with pytest.raises(InputError, match=r"rows.csv: 5 rows are too few to split: dev has no row of class 'positive'"):
        check_splits("rows.csv", full | {"dev": [row]}, dataset())
    with pytest.raises(InputError, match=r"train has no row, expected at least one"):
        check_splits("rows.csv", full | {"train": []}, dataset(**RAW))


def test_given_splits_are_kept_whatever_the_hash_and_overlap_leaves_the_less_held_out() -> None:
    texts = sentences(90)
    parts = {"train": texts[:60], "dev": texts[60:75], "test": texts[75:]}
    parts["train"] += [texts[75], near_copy(texts[76]), texts[77].upper(), texts[78][:45], texts[60]]
    parts["dev"] += [texts[79], near_copy(texts[80])]
    removed = Removed()
    section = dataset(**GIVEN)
    raw = [part(f"{name}.txt", rows, [str(i % 2) for i in range(len(rows))], name) for name, rows in parts.items()]
    splits = split_rows(canonical_rows(raw, "rows", section, removed), [], section, removed)
    assert {name: {row.text for row in rows} for name, rows in splits.items()} == {
        "train": set(texts[:60]),
        "dev": set(texts[60:75]),
        "test": set(texts[75:]),
    }
    assert {reason: item["rows"] for reason, item in removed.report().items()} == {
        "duplicate text": 3,
        "contains a held-out text": 3,
        "phrase of a held-out text": 1,
    }


PAIRS = {"columns": {"text": "text", "pair": "pair", "score": "score"}, "labels": None}


def canonical(raw: SourceRows, **changes: object) -> tuple[list[Row], dict[str, dict[str, object]]]:
    removed = Removed()
    return canonical_rows([raw], "rows", dataset(**changes), removed), removed.report()


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


def test_rows_of_a_group_stay_together_whatever_else_comes() -> None:
    columns = {"text": "text", "pair": "pair", "group": "title"}

    def titles(texts: list[str], groups: list[str | None]) -> dict[str, set[str | None]]:
        raw = part("rows.csv", texts, pairs=[f"What is {i}?" for i in range(len(texts))], groups=groups)
        section, removed = dataset(columns=columns, labels=None), Removed()
        splits = split_rows(canonical_rows([raw], "rows", section, removed), [], section, removed)
        assert removed.report() == {} and sum(map(len, splits.values())) == len(texts)
        return {name: {row.group for row in rows} for name, rows in splits.items()}

    names = [f"article {i}" for i in range(200)]
    few = titles(sentences(800), [names[i % 100] for i in range(800)])
    many = titles(sentences(1200), [names[i % 200] for i in range(1200)])
    assert not (few["train"] & few["dev"] or few["train"] & few["test"] or few["dev"] & few["test"])
    assert all(few[split] <= many[split] for split in few)
    assert 0.2 < len(many["test"]) / 200 < 0.4


def test_a_row_without_its_group_is_named() -> None:
    raw = part("rows.csv", ["a", "b"], groups=["x", " "])
    with pytest.raises(InputError, match=r"rows.csv: row 2: no group, expected what keeps rows in one split"):
        canonical(raw, columns={"text": "text", "group": "title"}, labels=None)


def test_pairs_are_compared_as_a_whole() -> None:
    """Two questions about one passage are two rows, and a question alone is no reason to leave; nor are its labels."""
    passage, *others = sentences(60)
    questions = [f"Which {first} and which {second}?" for first in WORDS[:6] for second in WORDS[6:]]
    columns = {"text": "text", "pair": "pair", "label": "label"}
    parts = [
        part("train", [passage] * 20, [*"01"] * 10, pairs=[*questions[:20]]),
        part("train", others[:20], [*"01"] * 10, pairs=[*questions[:20]]),
        part("test", others[20:40], [*"01"] * 10, "test", pairs=[*questions[:20]]),
    ]
    section, removed = dataset(columns=columns, **GIVEN), Removed()
    splits = split_rows(canonical_rows(parts, "rows", section, removed), [], section, removed)
    assert (len(splits["train"]), len(splits["test"]), removed.report()) == (40, 20, {})
    parts.append(part("again", [others[20]], ["0"], pairs=[questions[0]]))
    parts.append(part("again", [others[21]], ["0"], pairs=[f"{questions[1]} Please!"]))
    splits = split_rows(canonical_rows(parts, "rows", section, removed), [], section, removed)
    assert (len(splits["train"]), len(splits["test"])) == (40, 20)
    assert {reason: item["rows"] for reason, item in removed.report().items()} == {
        "duplicate text": 1,
        "contains a held-out text": 1,
    }


def test_lines_are_kept_where_the_parameters_say_so() -> None:
    raw = part("rows.csv", ["a  b\nc", "d"], targets=["e\n\n\nf", "g"])
    columns = {"text": "text", "target": "target"}
    for line_breaks, expected in (("keep", {"a b\nc": "e\n\nf", "d": "g"}), ("space", {"a b c": "e f", "d": "g"})):
        rows, _ = canonical(raw, columns=columns, labels=None, line_breaks=line_breaks)
        assert {row.text: row.target for row in rows} == expected


def test_files_of_train_are_split_by_the_shares_beside_given_rows() -> None:
    texts = sentences(400)
    section = dataset(**GIVEN | {"split": {"dev": 0.2, "test": 0.0}})
    raw = [part(name, rows, ["0", "1"] * 100, name) for name, rows in (("train", texts[:200]), ("test", texts[200:]))]
    splits = split_rows(canonical_rows(raw, "rows", section, Removed()), [], section, Removed())
    assert {row.text for row in splits["test"]} == set(texts[200:])
    assert 20 < len(splits["dev"]) < 60 and len(splits["train"]) + len(splits["dev"]) == 200


def test_labels_that_conflict_with_training_rows_take_no_given_test_row_away() -> None:
    texts = sentences(40)
    removed = Removed()
    section = dataset(**GIVEN)
    test = [texts[0], near_copy(texts[1]), texts[2], texts[2], *texts[30:]]
    raw = [
        part("train.txt", texts[:30], ["0", "1"] * 15),
        part("test.txt", test, ["1", "0", "0", "1", *["0", "1"] * 5], "test"),
    ]
    splits = split_rows(canonical_rows(raw, "rows", section, removed), [], section, removed)
    assert {row.text: row.label for row in splits["test"]} == {
        texts[0]: "positive",
        near_copy(texts[1]): "negative",
        **{text: ["negative", "positive"][i % 2] for i, text in enumerate(texts[30:])},
    }
    assert {row.text for row in splits["train"]} == set(texts[3:30])
    assert removed.report()["conflicting labels"]["rows"] == 3, "one text twice in test, with a label each"


def test_a_given_split_needs_rows_but_not_of_every_class() -> None:
    row = Row("0" * 16, "text", None, "negative", None, None, None, "rows", "test", None)
    train = [row._replace(given_split="train"), row._replace(given_split="train", label="positive")]
    check_splits("test.txt", {"train": train, "dev": [row], "test": [row]}, dataset(**GIVEN))
    with pytest.raises(InputError, match=r"no row of dev is left, expected some \(source.files.dev\)"):
        check_splits("test.txt", {"train": train, "dev": [], "test": [row]}, dataset(**GIVEN))


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
    rows = {row.text: row for row in canonical_rows([raw], "rows", section, removed)}
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
        canonical_rows([raw], "rows", dataset(**GIVEN | SPANS), Removed())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (SPANS | {"columns": SPANS["columns"] | {"label": "label"}}, "columns.label must be null where columns.spans"),
        (
            SPANS | {"source": dataset().source.model_dump()},
            "columns.spans must be null but for .* slots, squad",
        ),
        ({"columns": RAW["columns"]}, "labels are given, but columns.label and columns.spans are null"),
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
