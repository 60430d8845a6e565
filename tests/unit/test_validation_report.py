"""The summary holds what was counted; the page quotes rows harmlessly and needs no network."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.params import ValidationParams
from pipeline.schema import CANONICAL
from pipeline.validation.checkpoint import Failure, Outcome
from pipeline.validation.drift import Difference
from pipeline.validation.label_noise import LabelNoise
from pipeline.validation.report import render_page, summarize

PARAMS = ValidationParams(
    policy="quarantine",
    max_quarantined_share=0.5,
    min_characters=3,
    max_characters=100,
    min_label_share=0.2,
    max_damaged_share=0.01,
    min_letter_share=0.5,
    max_label_noise=0.1,
    max_drift=0.1,
)


@pytest.fixture
def summary() -> dict[str, object]:
    measures = pd.DataFrame(  # split and label as the stage has them
        {
            "split": pd.Categorical(["train"] * 4 + ["dev"], categories=["train", "dev", "test"]),
            "label": pd.Categorical(["good", "bad", "good", "good", "bad"]),
            "characters": [10.0, 20.0, None, 40.0, 7.0],
            "score": [None] * 5,
        }
    )
    failures = tuple(Failure({"split": "train", "id": f"id{i}"}, 1) for i in range(12))
    outcomes = [Outcome("length", "row", "expect_length", "3 to <100> characters", 5, failures, False)]
    noise, drift = LabelNoise(0, 0.0, 0.0, []), {"words": Difference(0.123456, 0.5)}
    return summarize(outcomes, measures, {}, measures, {"train": 3, "dev": 1, "test": 0}, PARAMS, noise, drift)


def test_pairs_targets_and_scores_are_shown_where_there_are_any(tmp_path: Path) -> None:
    measures = pd.DataFrame(
        {"split": ["train", "train", "dev"], "label": [None] * 3, "characters": [5.0] * 3, "score": [0.5, 4.75, None]}
    )
    further = {
        key: pd.DataFrame({"split": measures["split"], "characters": lengths})
        for key, lengths in (("pair", [1234.0, None, 7.0]), ("target", [3.0, 4.0, 5.0]))
    }
    counts = {"train": 2, "dev": 1, "test": 0}
    found = summarize([], measures, further, measures, counts, PARAMS, None, {})
    train, dev, test = (found["splits"][split] for split in counts)
    assert train["pair_characters"] == dict.fromkeys(("min", "p05", "p25", "p50", "p75", "p95", "max"), 1234)
    assert (train["target_characters"]["min"], train["target_characters"]["max"], train["score"]["max"]) == (3, 4, 4.75)
    assert (dev["pair_characters"]["p50"], dev["score"], test["score"], test["pair_characters"]) == (7, {}, {}, {})
    row = {"id": "q0", "text": "a", "pair": "<i>b</i>", "target": "c" * 300, "score": 2.5, "source": "s"}
    table = pa.Table.from_pylist([row | {"reason": "x"}], CANONICAL.append(pa.field("reason", pa.string())))
    pq.write_table(table, tmp_path / "q.parquet")
    page = render_page("pairs", found, tmp_path / "q.parquet", None, pd.DataFrame())
    for title in ("Length of the pair in characters", "Length of the target in characters", "Score", "Length in"):
        assert f"<h2>{title}" in page
    assert '<td class="number">1,234</td>' in page and '<td class="number">4.75</td>' in page
    assert "<th>Pair</th><th>Target</th><th>Score</th>" in page
    assert "&lt;i&gt;b&lt;/i&gt;" in page and "c" * 200 + "…" in page and '<td class="text">2.5</td>' in page


def quarantined(path: Path, *texts: str) -> Path:
    row = {"label": "bad", "source": "s", "reason": "length"}
    rows = [row | {"id": f"q{i}", "text": text} for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows, CANONICAL.append(pa.field("reason", pa.string()))), path)
    return path


def test_the_summary_counts_rows_labels_lengths_and_checks(summary: dict[str, dict]) -> None:
    assert (summary["rows"], summary["quarantined"], summary["quarantined_share"]) == (5, 1, 0.2)
    train, test = summary["splits"]["train"], summary["splits"]["test"]
    assert (train["rows"], train["rows_left"], train["label_shares"]) == (4, 3, {"bad": 0.25, "good": 0.75})
    assert (train["characters"]["min"], train["characters"]["p50"], train["characters"]["max"]) == (10, 20, 40)
    assert set(train) == {"rows", "rows_left", "label_shares", "characters"}
    assert test == {"rows": 0, "rows_left": 0, "label_shares": {}, "characters": {}}
    length = summary["checks"]["length"]
    assert (length["checked"], length["failing"], length["success"]) == (5, 12, False)
    assert length["first_failing"] == [f"train id{i}" for i in range(10)]


def test_a_script_in_a_review_is_quoted_and_not_run(summary: dict[str, object], tmp_path: Path) -> None:
    page = render_page(
        "reviews",
        summary,
        quarantined(tmp_path / "q.parquet", "<script>alert('x')</script> & more"),
        None,
        pd.DataFrame(),
    )
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more" in page
    assert "3 to &lt;100&gt; characters" in page


def test_of_a_row_with_spans_the_page_shows_their_labels(summary: dict[str, object], tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 3, "label": "person"}, {"start": 4, "end": 8, "label": "place"}]
    row = {"id": "q0", "text": "Ann Rome", "label": None, "spans": spans, "source": "s", "reason": "length"}
    table = pa.Table.from_pylist([row], CANONICAL.append(pa.field("reason", pa.string())))
    pq.write_table(table, tmp_path / "q.parquet")
    assert "<td>person, place</td>" in render_page("notes", summary, tmp_path / "q.parquet", None, pd.DataFrame())


def test_the_page_shows_twenty_rows_of_two_hundred_characters(summary: dict[str, object], tmp_path: Path) -> None:
    page = render_page(
        "reviews", summary, quarantined(tmp_path / "q.parquet", *["w" * 201] + ["short"] * 24), None, pd.DataFrame()
    )
    assert "w" * 200 + "…" in page and "w" * 201 not in page
    assert re.findall(r"<code>(q\d+)</code>", page) == [f"q{i}" for i in range(20)]


def test_the_page_stands_alone_in_light_and_dark(summary: dict[str, object], tmp_path: Path) -> None:
    page = render_page("reviews", summary, quarantined(tmp_path / "q.parquet"), None, pd.DataFrame())
    assert not re.search(r"https?:|//|src=|href=|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "<p>None.</p>" in page
