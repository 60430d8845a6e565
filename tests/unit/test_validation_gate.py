"""What follows from the outcomes: pass, set aside, stop."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.files import InputError
from pipeline.params import ValidationParams
from pipeline.validation.checkpoint import Failure, Outcome
from pipeline.validation.gate import rows_to_set_aside

ROWS = Path("data/ingested/reviews")
QUARANTINE = ValidationParams(
    policy="quarantine",
    max_quarantined_share=0.02,
    min_characters=3,
    max_characters=100,
    min_label_share=0.2,
    max_damaged_share=0.01,
    min_letter_share=0.5,
    max_label_noise=0.1,
    max_drift=0.1,
)
FAIL = QUARANTINE.model_copy(update={"policy": "fail"})


def row_check(name: str, *failures: tuple[str, str, object]) -> Outcome:
    found = tuple(Failure({"split": split, "id": identifier}, value) for split, identifier, value in failures)
    return Outcome(name, "row", "expect_something", "better", 100, found, not found)


SPANS = Outcome("span_inside", "dataset", "expect_something", "better", 5000, (), True)  # counts spans, not rows


def test_rows_that_pass_go_on() -> None:
    assert rows_to_set_aside([row_check("length"), row_check("markup")], FAIL, ROWS) == {}
    assert rows_to_set_aside([row_check("length"), row_check("markup")], QUARANTINE, ROWS) == {}


def test_quarantine_names_every_check_that_a_row_failed() -> None:
    outcomes = [row_check("length", ("train", "b", 1)), row_check("markup", ("train", "b", 2), ("dev", "a", 1))]
    assert rows_to_set_aside(outcomes, QUARANTINE, ROWS) == {"a": "markup", "b": "length, markup"}


def test_quarantine_stops_above_the_share_and_not_at_it() -> None:
    two = row_check("length", ("train", "a", 1), ("train", "b", 2))
    assert len(rows_to_set_aside([two], QUARANTINE, ROWS)) == 2
    three = [two, row_check("markup", ("dev", "c", 1)), SPANS]
    with pytest.raises(InputError) as error:
        rows_to_set_aside(three, QUARANTINE, ROWS)
    assert str(error.value) == (
        "data/ingested/reviews: 3 of 100 rows (3.00%) would be set aside, expected at most 2.00% "
        "(max_quarantined_share); most of them: data/ingested/reviews/train.parquet: check length: expected better, "
        "found 2 of 100 otherwise: train a (1), train b (2)"
    )


def test_fail_names_file_check_number_and_first_rows() -> None:
    many = row_check("length", *(("dev", f"id{i}", 100 + i) for i in range(7)))
    with pytest.raises(InputError) as error:
        rows_to_set_aside([many, row_check("overlap", ("train", "a", True))], FAIL, ROWS)
    assert str(error.value) == (
        "data/ingested/reviews/dev.parquet: check length: expected better, found 7 of 100 otherwise: "
        "dev id0 (100), dev id1 (101), dev id2 (102), dev id3 (103), dev id4 (104); also failed: overlap"
    )


@pytest.mark.parametrize("params", [FAIL, QUARANTINE])
def test_a_check_of_the_whole_dataset_stops_under_either_policy(params: ValidationParams) -> None:
    balance = Outcome("label_balance", "dataset", "e", "balance", 2, (Failure({"label": "bad"}, 0.12345),), False)
    with pytest.raises(InputError, match=r"reviews: check label_balance: .*, found 1 of 2 .*: bad \(0\.1235\)"):
        rows_to_set_aside([row_check("length"), balance], params, ROWS)
    empty = replace(balance, check="some_rows", checked=0, failures=())
    with pytest.raises(InputError, match=r"check some_rows: expected balance, found none$"):
        rows_to_set_aside([empty], params, ROWS)
