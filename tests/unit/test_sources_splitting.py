"""Splits do not move when data grow, keep their shares, and share no text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.files import InputError
from pipeline.sources.removed import Removed
from pipeline.sources.tables import Contents, check_splits
from tests.unit.source_rows import GIVEN, RAW, WORDS, dataset, part, sentences, splits_of


def split(
    texts: list[str], given_labels: list[str] | None = None, held_out: tuple[str, ...] = (), **changes: object
) -> tuple[dict[str, list[str]], dict[str, dict[str, object]]]:
    """Return the texts of each split and the report of what left."""
    section, removed = dataset(**changes), Removed()
    labels: list[str | None] = [*given_labels] if given_labels else [str(i % 2) for i in range(len(texts))]
    splits = splits_of([part("rows.csv", texts, labels)], held_out, section, removed)
    return {name: [row.text for row in rows] for name, rows in splits.items()}, removed.report()


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


BOTH, ONE, NONE = (
    Contents(2, frozenset({"negative", "positive"})),
    Contents(1, frozenset({"negative"})),
    Contents(0, frozenset()),
)


def test_a_class_that_a_split_lacks_is_named() -> None:
    full = {"train": BOTH, "dev": BOTH, "test": BOTH}
    check_splits("rows.csv", full, dataset())
    check_splits("rows.csv", full | {"dev": NONE}, dataset(split={"dev": 0.0, "test": 0.3}))
    with pytest.raises(InputError, match=r"rows.csv: 5 rows are too few to split: dev has no row of class 'positive'"):
        check_splits("rows.csv", full | {"dev": ONE}, dataset())
    with pytest.raises(InputError, match=r"train has no row, expected at least one"):
        check_splits("rows.csv", full | {"train": NONE}, dataset(**RAW))


def test_given_splits_are_kept_whatever_the_hash_and_overlap_leaves_the_less_held_out() -> None:
    texts = sentences(90)
    parts = {"train": texts[:60], "dev": texts[60:75], "test": texts[75:]}
    parts["train"] += [texts[75], near_copy(texts[76]), texts[77].upper(), texts[78][:45], texts[60]]
    parts["dev"] += [texts[79], near_copy(texts[80])]
    removed = Removed()
    section = dataset(**GIVEN)
    raw = [part(f"{name}.txt", rows, [str(i % 2) for i in range(len(rows))], name) for name, rows in parts.items()]
    splits = splits_of(raw, [], section, removed)
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


def test_rows_of_a_group_stay_together_whatever_else_comes() -> None:
    columns = {"text": "text", "pair": "pair", "group": "title"}

    def titles(texts: list[str], groups: list[str | None]) -> dict[str, set[str | None]]:
        raw = part("rows.csv", texts, pairs=[f"What is {i}?" for i in range(len(texts))], groups=groups)
        section, removed = dataset(columns=columns, labels=None), Removed()
        splits = splits_of([raw], [], section, removed)
        assert removed.report() == {} and sum(map(len, splits.values())) == len(texts)
        return {name: {row.group for row in rows} for name, rows in splits.items()}

    names = [f"article {i}" for i in range(200)]
    few = titles(sentences(800), [names[i % 100] for i in range(800)])
    many = titles(sentences(1200), [names[i % 200] for i in range(1200)])
    assert not (few["train"] & few["dev"] or few["train"] & few["test"] or few["dev"] & few["test"])
    assert all(few[split] <= many[split] for split in few)
    assert 0.2 < len(many["test"]) / 200 < 0.4


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
    splits = splits_of(parts, [], section, removed)
    assert (len(splits["train"]), len(splits["test"]), removed.report()) == (40, 20, {})
    parts.append(part("again", [others[20]], ["0"], pairs=[questions[0]]))
    parts.append(part("again", [others[21]], ["0"], pairs=[f"{questions[1]} Please!"]))
    splits = splits_of(parts, [], section, removed)
    assert (len(splits["train"]), len(splits["test"])) == (40, 20)
    assert {reason: item["rows"] for reason, item in removed.report().items()} == {
        "duplicate text": 1,
        "contains a held-out text": 1,
    }


def test_files_of_train_are_split_by_the_shares_beside_given_rows() -> None:
    texts = sentences(400)
    section = dataset(**GIVEN | {"split": {"dev": 0.2, "test": 0.0}})
    raw = [part(name, rows, ["0", "1"] * 100, name) for name, rows in (("train", texts[:200]), ("test", texts[200:]))]
    splits = splits_of(raw, [], section, Removed())
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
    splits = splits_of(raw, [], section, removed)
    assert {row.text: row.label for row in splits["test"]} == {
        texts[0]: "positive",
        near_copy(texts[1]): "negative",
        **{text: ["negative", "positive"][i % 2] for i, text in enumerate(texts[30:])},
    }
    assert {row.text for row in splits["train"]} == set(texts[3:30])
    assert removed.report()["conflicting labels"]["rows"] == 3, "one text twice in test, with a label each"


def test_a_given_split_needs_rows_but_not_of_every_class() -> None:
    check_splits("test.txt", {"train": BOTH, "dev": ONE, "test": ONE}, dataset(**GIVEN))
    with pytest.raises(InputError, match=r"no row of dev is left, expected some \(source.files.dev\)"):
        check_splits("test.txt", {"train": BOTH, "dev": NONE, "test": ONE}, dataset(**GIVEN))


def test_labels_of_pairs_that_differ_in_a_word_are_no_conflict() -> None:
    premise = sentences(1, words=40)[0]
    raw = part("train", [premise] * 2 + sentences(20), [*"01"] * 11, pairs=["It is so.", "It is not so.", *["x"] * 20])
    section = dataset(columns={"text": "text", "pair": "pair", "label": "label"}, split={"dev": 0.0, "test": 0.0})
    removed = Removed()
    assert len(splits_of([raw], [], section, removed)["train"]) == 22
    assert removed.report() == {}


def test_a_test_row_with_a_target_is_no_raw_text() -> None:
    texts = sentences(40)
    columns = {"text": "text", "target": "target"}
    section, removed = dataset(columns=columns, labels=None), Removed()
    splits = splits_of([part("rows.csv", texts, targets=[f"t{i}" for i in range(40)])], texts, section, removed)
    assert splits["train"] == [] and splits["test"] and splits["dev"]


def test_one_sentence_with_other_words_marked_is_no_conflict() -> None:
    (sentence,) = sentences(1, words=80)
    words = sentence.split()
    texts = [" ".join([*words[:i], f"[E1] {words[i]} [/E1]", *words[i + 1 :]]) for i in range(6)]
    labels: list[str | None] = ["0", "1"] * 3
    assert split(texts, labels, split={"dev": 0.0, "test": 0.0})[1]["conflicting labels"]["rows"] == 6
    found, removed = split(texts, labels, split={"dev": 0.0, "test": 0.0}, markers=["[E1]", "[/E1]"])
    assert len(found["train"]) == 6 and not removed
