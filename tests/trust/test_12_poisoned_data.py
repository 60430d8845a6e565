"""Point 12: wrong labels, near-duplicates across splits and drifted batches are reported; clean data are left alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_array

from pipeline.files import InputError, read_json
from pipeline.params import DecontaminationParams, Params, ValidationParams, load_params
from pipeline.schema import CANONICAL
from pipeline.sources.overlap import overlapping
from pipeline.sources.similarity import indicator_matrix, shingles
from pipeline.stages.validate import run
from pipeline.validation import drift, label_noise

ROOT = Path(__file__).parents[2]
DATASET = "rotten_tomatoes"
LIMITS = {"max_quarantined_share": 0.1, "min_characters": 3, "max_characters": 2000, "min_label_share": 0.2}
LIMITS |= {"max_damaged_share": 0.01, "min_letter_share": 0.5, "max_label_noise": 0.05, "max_drift": 0.1}
TASTE = {"negative": ("dull", "slow", "flat", "stale"), "positive": ("warm", "bright", "sharp", "fresh")}
THINGS = [f"{first}{second}" for first in ("film", "plot", "scene", "song", "line") for second in "abcdefghijklmnop"]


def review(random: np.random.Generator, label: str, words: int = 12) -> str:
    return " ".join(random.permutation([*random.choice(TASTE[label], 2), *random.choice(THINGS, words - 2)]))


def rows_of(texts: list[str], labels: list[str]) -> list[dict[str, str]]:
    return [
        {"id": hashlib.sha256(text.encode()).hexdigest()[:16], "text": text, "label": label, "source": "here"}
        for text, label in zip(texts, labels, strict=True)
    ]


def splits(seed: int = 0, counts: tuple[int, int, int] = (2000, 300, 700)) -> dict[str, list[dict[str, str]]]:
    """Reviews that a linear model can learn, half of them positive."""
    random = np.random.default_rng(seed)
    made = {}
    for split, count in zip(("train", "dev", "test"), counts, strict=True):
        labels = [str(label) for label in random.choice(sorted(TASTE), count)]
        made[split] = rows_of([review(random, label) for label in labels], labels)
    return made


def params(labels: dict[str, str] | None, **values: Any) -> Params:
    given = load_params(ROOT / "params.yaml")
    validation = ValidationParams.model_validate(LIMITS | {"policy": "quarantine"} | values)
    changes = {"validation": validation} | ({"labels": labels} if labels else {})
    dataset = given.datasets[DATASET].model_copy(update=changes)
    return given.model_copy(update={"datasets": {DATASET: dataset}})


def validate(
    folder: Path, made: dict[str, list[dict[str, str]]], labels: dict[str, str] | None = None, **values: Any
) -> dict[str, Any]:
    """Run the stage on splits as they are given, which ingest never saw; return its summary."""
    folder.mkdir()
    for split, rows in made.items():
        table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), CANONICAL)
        pq.write_table(table, folder / f"{split}.parquet")
    held_out = [{"id": row["id"], "text": row["text"]} for split in ("dev", "test") for row in made[split]]
    (folder / "held_out.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in held_out), encoding="utf-8")
    paths = {"out": "out", "quarantine": "aside.parquet", "summary": "summary.json", "page": "page.html"}
    targets = {name: folder / path for name, path in paths.items()}
    run(params(labels, **values), dataset=DATASET, rows=folder, held_out=folder / "held_out.jsonl", **targets)
    return dict(read_json(folder / "summary.json"))


def flipped(rows: list[dict[str, str]], share: float, seed: int) -> tuple[list[dict[str, str]], set[str]]:
    chosen = np.random.default_rng(seed).random(len(rows)) < share
    other = {"negative": "positive", "positive": "negative"}
    result = [row | {"label": other[row["label"]]} if flip else row for row, flip in zip(rows, chosen, strict=True)]
    return result, {row["id"] for row, flip in zip(rows, chosen, strict=True) if flip}


def test_ten_per_cent_of_wrong_labels_raise_the_flag_and_the_page_lists_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = splits()
    clean = validate(tmp_path / "clean", made)
    assert clean["label_noise"] == {"rows": 3000, "share": clean["label_noise"]["share"]}
    assert clean["label_noise"]["share"] < 0.02 and clean["checks"]["label_noise"]["success"]
    assert "flagged" not in capsys.readouterr().out

    noisy, wrong = {}, set()
    for seed, (split, rows) in enumerate(made.items()):
        noisy[split], ids = flipped(rows, 0.1, seed)
        wrong |= ids
    poisoned = validate(tmp_path / "poisoned", noisy)
    assert 0.06 < poisoned["label_noise"]["share"] < 0.16
    check = poisoned["checks"]["label_noise"]
    assert (check["scope"], check["success"]) == ("flag", False)
    assert poisoned["quarantined"] == 0  # which rows are hard is not for a simple model to say
    assert "flagged: " in (said := capsys.readouterr().out) and "at most 5.00% of the labels" in said
    page = (tmp_path / "poisoned/page.html").read_text(encoding="utf-8")
    listed = page.split("Labels to look at")[1]
    assert sum(identifier in listed for identifier in wrong) >= 18
    with pytest.raises(InputError, match=r"check label_noise: expected at most 5\.00% of the labels"):
        validate(tmp_path / "refused", noisy, policy="fail")


def words_of(texts: list[str]) -> csr_array:
    return indicator_matrix(shingles(texts, 1))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_the_estimate_follows_the_share_of_wrong_labels(share: float) -> None:
    for seed in range(3):
        rows, _ = flipped(splits(seed)["train"], share, seed)
        found = label_noise.estimate(words_of([row["text"] for row in rows]), np.array([row["label"] for row in rows]))
        assert abs(found.share - share) < 0.07


def test_what_cannot_be_judged_is_not_judged() -> None:
    words = words_of(["one", "two", "", "four"] * 3)
    alone = np.array(["a"] * 12)
    assert label_noise.estimate(words, alone) == (0, 0.0, 0.0, [])
    alone[:2] = "b"  # fewer rows than folds
    assert label_noise.estimate(words, alone) == (0, 0.0, 0.0, [])


def test_near_duplicates_between_splits_are_set_aside_with_their_reason(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    made = splits()
    base = [row["text"] for row in made["test"][:4]]
    long = review(random, "positive", 40)
    made["test"] += rows_of([long], ["positive"])
    planted = [
        base[0].upper().replace(" ", ", "),  # the same words
        " ".join([*long.split()[:20], "another", *long.split()[21:]]),  # 35 of 41 shingles shared
        f"{review(random, 'positive', 30)} {base[2]} {review(random, 'positive', 30)}",  # it stands inside
        " ".join(base[3].split()[:8]),  # a phrase of it
    ]
    made["train"] += rows_of(planted, ["positive"] * 4)
    made["dev"] += rows_of([f"{base[1]} indeed"], ["positive"])
    summary = validate(tmp_path / "rows", made)
    aside = {row["text"]: row["reason"] for row in pq.read_table(tmp_path / "rows/aside.parquet").to_pylist()}
    assert set(aside) == {*planted, f"{base[1]} indeed"}
    assert all("near_duplicate" in reason for reason in aside.values())
    assert (summary["checks"]["near_duplicate"]["failing"], summary["quarantined"]) == (5, 5)
    with pytest.raises(InputError, match=r"check overlap: .*; also failed: near_duplicate"):
        validate(tmp_path / "refused", made, policy="fail", max_label_noise=1.0)


def test_overlap_is_what_hand_counted_shingles_say() -> None:
    words = [f"word{i}" for i in range(40)]  # 38 shingles
    near = " ".join([*words[:20], "other", *words[21:]])  # 35 of 41
    far = " ".join([*words[:10], "other", *words[11:30], "other", *words[31:]])  # 32 of 44
    rules = DecontaminationParams(min_letters=24, similarity=0.8, shingle_words=3, permutations=64)
    texts = [near, far, "", "...", "word0 word1"]
    assert overlapping(texts, [" ".join(words)], rules).tolist() == [True, False, False, False, False]
    assert overlapping(texts, [], rules).tolist() == [False] * 5
    assert overlapping([], texts, rules).tolist() == []


def differences(texts: list[str], labels: list[str], in_batch: np.ndarray) -> dict[str, float]:
    """Return what the limit is held against, by aspect."""
    lengths = np.array([len(text) for text in texts])
    found = drift.distances(drift.compare(words_of(texts), lengths, np.array(labels), in_batch))
    return dict(zip(found["aspect"], found["distance"], strict=True))


@pytest.mark.parametrize(("rows", "batch"), [(600, 200), (400, 30), (2000, 500)])
def test_a_batch_that_has_not_drifted_raises_hardly_a_false_alarm(rows: int, batch: int) -> None:
    """200 random batches of the same reviews: at most one in twenty is flagged, by the limit or without one."""
    made = splits(3, (rows, 0, 0))["train"]
    texts, labels = [row["text"] for row in made], [row["label"] for row in made]
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        in_batch = np.isin(np.arange(rows), random.permutation(rows)[:batch])
        alarms += any(differences(texts, labels, in_batch).values())
    assert alarms <= 10


@pytest.mark.parametrize("aspect", ["words", "length", "labels"])
def test_a_drifted_batch_is_beyond_the_limit_in_what_drifted(aspect: str) -> None:
    random = np.random.default_rng(5)
    reference = splits(5, (1200, 0, 0))["train"]
    share = 0.8 if aspect == "labels" else 0.5
    labels = ["positive" if random.random() < share else "negative" for _ in range(300)]
    batch = [review(random, label, 18 if aspect == "length" else 12) for label in labels]
    if aspect == "words":
        batch = [text.replace("film", "book") for text in batch]
    texts = [row["text"] for row in reference] + batch
    found = differences(texts, [row["label"] for row in reference] + labels, np.arange(1500) >= 1200)
    assert found[aspect] > 0.1
    assert aspect != "length" or found["labels"] == 0


def test_splits_of_different_kinds_are_flagged_or_refused_by_the_policy(tmp_path: Path) -> None:
    made = splits()
    made["test"] = [row for row in made["test"] if row["label"] == "positive"]
    summary = validate(tmp_path / "flagged", made)
    check = summary["checks"]["drift"]
    assert (check["scope"], check["success"]) == ("flag", False) and "labels" in check["first_failing"]
    assert summary["drift"]["labels"]["distance"] > 0.1 > 0.01 > summary["drift"]["labels"]["p_value"]
    with pytest.raises(InputError, match=r"check drift: .* at most 0\.1 from those of train, .*labels \(0\.\d+\)"):
        validate(tmp_path / "refused", made, policy="fail")


def test_a_side_without_rows_is_compared_with_nothing() -> None:
    assert differences(["one", "two", "three"], ["a", "b", "a"], np.array([True, False, False])) == {}
