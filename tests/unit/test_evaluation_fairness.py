"""Flip rates, score gaps and leanings against values worked out by hand."""

import numpy as np
import pytest

from pipeline.evaluation.fairness import Counterfactual, before_and_after, counterfactuals, flip_figures, flip_rates
from pipeline.evaluation.figures import FIGURES, score
from pipeline.evaluation.significance import Bootstrap

LABELS = ["negative", "positive"]
BOOTSTRAP = Bootstrap(500, 0.95, 0)


def positive(*scores: float) -> np.ndarray:
    return np.stack([1 - np.array(scores), np.array(scores)], axis=1)


def asked(*directions: int, group: str = "gender", kind: str = "rows") -> list[Counterfactual]:
    return [Counterfactual(group, kind, "x", "y", direction) for direction in directions]


def test_figures_by_hand() -> None:
    before, after = positive(0.9, 0.4, 0.6, 0.2), positive(0.7, 0.6, 0.5, 0.3)
    said = {"student": np.concatenate([before, after]), "teacher": np.concatenate([before, before])}
    found = flip_figures(asked(1, 1, -1, 0), said, LABELS, BOOTSTRAP)["gender"]
    assert found["sides"] == ["male", "female"]
    rows = found["rows"]
    # the second text goes from 0.4 to 0.6, the third from 0.6 to 0.5, where the first label wins
    assert rows["texts"] == 4 and rows["student"]["flip_rate"] == 2 / 4
    assert rows["student"]["score_gap"] == pytest.approx((0.2 + 0.2 + 0.1 + 0.1) / 4)
    # for the second side: -0.2, +0.2, and the third the other way round +0.1; the last speaks of both
    assert rows["student"]["leaning"] == {"label": "negative", "difference": pytest.approx(-0.1 / 3)}
    assert rows["teacher"]["flip_rate"] == rows["teacher"]["score_gap"] == 0.0
    assert rows["teacher"]["interval"] == [0.0, 0.0]
    low, high = rows["student"]["interval"]
    assert 0 <= low < 0.5 < high <= 1
    assert rows["student_minus_teacher"]["difference"] == -0.5  # better by less than nothing


def test_only_both_sides_lean_nowhere() -> None:
    said = dict.fromkeys(("student", "teacher"), positive(0.9, 0.1))
    assert flip_figures(asked(0), said, LABELS, BOOTSTRAP)["gender"]["rows"]["student"]["leaning"] is None


def test_three_labels_move_by_half_of_all_changes() -> None:
    before, after = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.3, 0.5]])
    assert score("score_gap", before, after) == pytest.approx(0.3)
    assert score("flip_rate", before.argmax(axis=1), after.argmax(axis=1)) == 1.0
    assert FIGURES["score_gap"].counts(before, after).dtype == np.int64


def test_a_groups_rate_is_that_of_all_its_texts() -> None:
    texts = asked(1, 1, 1) + asked(1, kind="templates") + asked(1, group="race", kind="templates")
    before, after = positive(0.9, 0.9, 0.9, 0.9, 0.9), positive(0.1, 0.9, 0.9, 0.1, 0.8)
    said = {"student": np.concatenate([before, after]), "teacher": np.concatenate([before, before])}
    found = flip_figures(texts, said, LABELS, BOOTSTRAP)
    assert found["gender"]["rows"]["student"]["flip_rate"] == pytest.approx(1 / 3)
    assert flip_rates(found, "student") == {"gender": pytest.approx(2 / 4), "race": 0.0}
    assert flip_rates(found, "teacher") == {"gender": 0.0, "race": 0.0}


def test_before_and_after_by_hand() -> None:
    texts = asked(1, -1) + asked(1, kind="templates") + asked(1, group="race", kind="templates")
    plain = positive(0.9, 0.9, 0.9, 0.9)
    former, new = positive(0.1, 0.4, 0.3, 0.8), positive(0.9, 0.4, 0.7, 0.2)
    said = {"before": np.concatenate([plain, former]), "after": np.concatenate([plain, new])}
    found = before_and_after(texts, said, BOOTSTRAP)

    every, difference = found["all"], found["all"]["after_minus_before"]
    assert (every["texts"], every["before"]["flip_rate"], every["after"]["flip_rate"]) == (4, 3 / 4, 2 / 4)
    assert every["before"]["score_gap"] == pytest.approx((0.8 + 0.5 + 0.6 + 0.1) / 4)
    assert every["after"]["score_gap"] == pytest.approx((0.0 + 0.5 + 0.2 + 0.7) / 4)
    assert difference["flip_rate"]["difference"] == pytest.approx(1 / 4)  # fewer flips are better
    assert difference["score_gap"]["difference"] == pytest.approx((2.0 - 1.4) / 4)
    low, high = difference["flip_rate"]["interval"]
    assert low < 0 < 1 / 4 < high

    groups = found["groups"]
    assert set(groups["gender"]) == {"sides", "rows", "templates"} and set(groups["race"]) == {"sides", "templates"}
    rows, race = groups["gender"]["rows"], groups["race"]["templates"]
    assert (rows["texts"], rows["before"]["flip_rate"], rows["after"]["flip_rate"]) == (2, 1.0, 0.5)
    assert rows["after_minus_before"]["flip_rate"]["difference"] == 0.5
    assert race["after_minus_before"]["flip_rate"]["difference"] == -1.0  # the one text flips only now
    assert race["after_minus_before"]["flip_rate"]["interval"] == [-1.0, -1.0]


def test_rows_without_people_are_left_out() -> None:
    found = counterfactuals(["gender"], ["A dull film.", "She is dull."])
    assert found[0] == Counterfactual("gender", "rows", "She is dull.", "He is dull.", -1)
    assert {one.kind for one in found[1:]} == {"templates"}
