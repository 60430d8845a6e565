"""What `stillhouse use --data` says of a file: counts by hand, planted repeats and wrong labels, a time that scales."""

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli.profile import Profile, estimate_seconds, profile_rows, show_profile
from pipeline.drivers import SHIPPED_TIMINGS
from pipeline.params import load_params

ROOT = Path(__file__).parents[2]
GOOD = ["lovely", "warm", "solid", "bright", "quick", "kind", "tidy", "fair"]
BAD = ["broken", "late", "cold", "dull", "rude", "torn", "dear", "slow"]
PLAIN = [f"thing{number}" for number in range(500)]


def reviews(count: int, generator: random.Random) -> list[tuple[str, str]]:
    """Texts of fifteen words, five of which tell the label, which takes turns."""
    found = []
    for number in range(count):
        words = generator.choices((GOOD, BAD)[number % 2], k=5) + generator.choices(PLAIN, k=10)
        generator.shuffle(words)
        found.append((" ".join(words), ("good", "bad")[number % 2]))
    return found


def test_counts_are_those_of_the_whole_file() -> None:
    rows = [
        ("a b c", "x"),
        ("a b c", "x"),
        ("a b c", "x"),
        ("d", "x"),
        ("d", "y"),
        ("", "x"),
        (None, "y"),
        ("e f", "y"),
    ]
    found = profile_rows(*zip(*rows, strict=True))
    assert (found.rows, found.empty, found.repeated, found.contradicted) == (8, 2, 3, 1)
    assert found.labels == {"x": 4, "y": 2}
    assert (found.median_words, found.most_words, found.longest_words) == (2, 3, 3)
    assert (found.sample, found.near_duplicates, found.wrong_labels, found.doubts) == (2, 0.0, 0.0, [])
    assert found.linear_accuracy is None, "half of two rows has one label"


def test_planted_repeats_and_wrong_labels_are_found() -> None:
    generator = random.Random(1)
    rows = reviews(1200, generator)
    clean = profile_rows(*zip(*rows, strict=True))
    assert clean.wrong_labels < 0.01 and clean.near_duplicates == 0
    assert clean.linear_accuracy is not None and clean.linear_accuracy > 0.98, "five words of fifteen tell the label"

    copies = [(f"{text} indeed", label) for text, label in rows[:300]]
    repeated = profile_rows(*zip(*rows, *copies, strict=True))
    # 300 of 1,500 texts have a twin, and half of the twins stand in the other half of the sample
    assert 0.13 < repeated.near_duplicates < 0.27

    other = {"good": "bad", "bad": "good"}
    turned = {text: other[label] for text, label in rows[:180]}
    found = profile_rows(*zip(*turned.items(), *rows[180:], strict=True))
    assert 0.08 < found.wrong_labels < 0.3
    beginnings = {doubt.text.removesuffix("…") for doubt in found.doubts}
    assert beginnings and all(any(text.startswith(beginning) for text in turned) for beginning in beginnings)


def test_a_run_of_the_default_takes_what_it_takes_and_more_rows_take_longer() -> None:
    params = load_params(ROOT / "params.yaml")
    known = SHIPPED_TIMINGS["run"]
    stages = [f"{name}@sentiment" for name in known]
    profile = Profile(8530, 0, 0, 0, {"negative": 4265, "positive": 4265}, 21, 40, 60, 1, 0.0, 0.0, [], None)
    default = sum(estimate_seconds(profile, 8530 * 20, params, stages).values())
    assert default == pytest.approx(sum(known.values()), rel=0.6)
    more = replace(profile, rows=85300, labels={"negative": 42650, "positive": 42650})
    assert sum(estimate_seconds(more, 85300 * 20, params, stages).values()) > 3 * default


def test_a_large_file_is_told_in_seconds() -> None:
    rows = reviews(60_000, random.Random(2))
    started = time.process_time()
    found = profile_rows(*zip(*rows, strict=True))
    assert time.process_time() - started < 20
    assert (found.rows, found.sample) == (60_000, 10_000)


def test_texts_of_one_template_are_told_in_seconds_too() -> None:
    body = " ".join(PLAIN[:200])
    started = time.process_time()
    found = profile_rows([f"{body} {number}" for number in range(3000)], ["a", "b"] * 1500)
    assert time.process_time() - started < 20
    assert found.near_duplicates == 1.0
    assert found.linear_accuracy is not None and 0.4 < found.linear_accuracy < 0.6, "nothing tells the label"


def test_elsewhere_than_in_a_terminal_it_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show_profile("rows.csv", profile_rows(*zip(*reviews(100, random.Random(3)), strict=True)), 700)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "rows.csv",
        "  rows: 100",
        "  labels: 2: good 50%, bad 50%",
        "  words: 15 in the middle, at most 15 in 95 %, 15 in the longest",
    ]
    assert lines[-2] == "  a linear model: after 50 rows right on 100% of others; always the same label, on 50%"
    assert lines[-1] == "  a run: about 12 min on two cores, an estimate from the default's"
