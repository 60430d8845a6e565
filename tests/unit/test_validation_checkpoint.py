"""Each expectation of the suites fires on the row planted for it, and on no other."""

import json

import pandas as pd
import pytest

from pipeline.validation.checkpoint import SUITES, Outcome, run_suite

BOUNDS = {
    "min_characters": 3,
    "max_characters": 100,
    "max_damaged_share": 0.01,
    "min_letter_share": 0.5,
    "min_label_share": 0.2,
    "labels": ["bad", "good"],
}
GOOD = {
    "split": "train",
    "label": "good",
    "characters": 50.0,
    "damaged_share": 0.01,
    "markup": 0.0,
    "letter_share": 0.5,
    "overlaps": False,
    "near_duplicate": False,
}


def measures(*planted: dict[str, object]) -> pd.DataFrame:
    """Two rows at the edge of every bound, then the planted ones with ids p0, p1 …."""
    edge = [GOOD | {"id": "low", "characters": 3.0}, GOOD | {"id": "high", "characters": 100.0, "label": "bad"}]
    return pd.DataFrame(edge + [GOOD | {"id": f"p{i}"} | row for i, row in enumerate(planted)])


def failing(outcomes: list[Outcome]) -> dict[str, list[str]]:
    return {o.check: [failure.name["id"] for failure in o.failures] for o in outcomes if not o.success}


def test_every_row_check_fires_on_its_planted_row_alone() -> None:
    blank = {"characters": None, "damaged_share": None, "markup": None, "letter_share": None}
    table = measures(
        blank, {"characters": 2.0}, {"characters": 101.0}, {"damaged_share": 0.011}, {"markup": 1.0},
        {"letter_share": 0.49}, {"overlaps": True}, {"near_duplicate": True},
    )  # fmt: skip
    outcomes = run_suite("rows", table, BOUNDS, named_by=["split", "id"])
    assert failing(outcomes) == {
        "non_empty": ["p0"],
        "length": ["p1", "p2"],
        "encoding": ["p3"],
        "markup": ["p4"],
        "letters": ["p5"],
        "overlap": ["p6"],
        "near_duplicate": ["p7"],
    }
    assert all(outcome.scope == "row" for outcome in outcomes if not outcome.success)
    length = next(outcome for outcome in outcomes if outcome.check == "length")
    assert (length.checked, length.expected) == (10, "3 to 100 characters")
    assert [(failure.name, failure.value) for failure in length.failures] == [
        ({"split": "train", "id": "p1"}, 2),
        ({"split": "train", "id": "p2"}, 101),
    ]


def test_good_rows_pass_every_check_and_the_outcomes_keep_the_order_of_the_file() -> None:
    outcomes = run_suite("rows", measures(), BOUNDS, named_by=["split", "id"])
    written = json.loads((SUITES / "rows.json").read_text(encoding="utf-8"))["expectations"]
    assert failing(outcomes) == {}
    assert [outcome.check for outcome in outcomes] == [expectation["meta"]["check"] for expectation in written]


def test_an_id_that_stands_twice_and_a_dataset_without_rows_concern_the_whole_dataset() -> None:
    twice = run_suite("ids", measures({"id": "low", "split": "test"}), BOUNDS, named_by=["split", "id"])
    (unique,) = [outcome for outcome in twice if not outcome.success]
    assert (unique.check, unique.scope) == ("unique_ids", "dataset")
    assert [failure.name for failure in unique.failures] == [{"split": s, "id": "low"} for s in ("train", "test")]
    none = run_suite("rows", measures().head(0), BOUNDS, named_by=["split", "id"])
    assert [(o.check, o.checked) for o in none if not o.success] == [("some_rows", 0)]


def test_labels_outside_the_set_and_missing_ones_are_named() -> None:
    outcomes = run_suite("labels", measures({"label": "ugly"}, {"label": None}), BOUNDS, named_by=["split", "id"])
    assert failing(outcomes) == {"label_given": ["p1"], "label_set": ["p0"]}
    assert {outcome.scope for outcome in outcomes} == {"dataset"}


@pytest.mark.parametrize(("share", "success"), [(0.2, True), (0.19, False), (0.0, False)])
def test_a_rare_label_is_named_with_its_share(share: float, success: bool) -> None:
    table = pd.DataFrame({"label": ["bad", "good"], "rows": [1, 1], "share": [share, 1 - share]})
    (balance,) = run_suite("classes", table, BOUNDS, named_by=["label"])
    assert balance.success is success
    assert [(f.name, f.value) for f in balance.failures] == ([] if success else [({"label": "bad"}, share)])


def test_an_expectation_that_cannot_be_computed_is_a_failure_not_a_pass() -> None:
    with pytest.raises(RuntimeError, match="check markup could not be computed"):
        run_suite("rows", measures().drop(columns="markup"), BOUNDS, named_by=["split", "id"])
