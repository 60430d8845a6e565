"""The temperature against values worked out by hand; labels never change, and dev is never less likely with it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.exporting.confidence import HOTTEST, accuracy_at_scores, fit_temperature, negative_log_likelihood


def test_the_temperature_by_hand() -> None:
    """Four choices, each with odds of e² for one class, three of them right: honest odds are 3, so T is 2 / ln 3."""
    logits = np.array([[0, 2], [2, 0], [0, 2], [0, 2]], dtype=np.float32)
    labels = np.array([1, 0, 1, 0])
    assert fit_temperature(logits, labels) == 1.820 == round(2 / math.log(3), 3)
    assert negative_log_likelihood(logits / (2 / math.log(3)), labels) == pytest.approx(
        -(3 * math.log(0.75) + math.log(0.25)) / 4
    )
    assert fit_temperature(10 * logits, labels) == pytest.approx(20 / math.log(3), abs=5e-3)
    with_unlabelled = np.concatenate([logits, [[9, 0]]]), np.append(labels, -1)
    assert fit_temperature(*with_unlabelled) == fit_temperature(logits, labels)


def test_a_student_that_is_too_unsure_becomes_surer() -> None:
    logits = np.tile([[0.0, 0.5]], (10, 1))
    assert fit_temperature(logits, np.array([1] * 9 + [0])) == pytest.approx(0.5 / math.log(9), abs=5e-5)


def test_labels_that_do_not_say_how_sure_to_be() -> None:
    logits = np.array([[0.0, 2.0], [3.0, 0.0]])
    assert fit_temperature(logits, np.array([1, 0])) == 1.0  # nothing is wrong
    assert fit_temperature(logits, np.array([-1, -1])) == 1.0  # nothing is known
    assert fit_temperature(logits, np.array([0, 1])) == pytest.approx(HOTTEST, rel=1e-2)  # everything is wrong


CHOICES = st.integers(2, 5).flatmap(
    lambda classes: st.lists(
        st.tuples(
            st.lists(st.floats(-8, 8, width=32), min_size=classes, max_size=classes), st.integers(0, classes - 1)
        ),
        min_size=1,
        max_size=30,
    )
)


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(CHOICES)
def test_labels_stay_and_dev_is_no_less_likely(choices: list[tuple[list[float], int]]) -> None:
    logits, labels = np.array([row for row, _ in choices], np.float32), np.array([label for _, label in choices])
    temperature = fit_temperature(logits, labels)
    assert 1 / HOTTEST <= temperature <= HOTTEST
    scaled = logits.astype(np.float64) / temperature
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert negative_log_likelihood(scaled, labels) <= negative_log_likelihood(logits, labels) + 1e-6


def test_accuracy_above_a_score_by_hand() -> None:
    """Probabilities of the likeliest: 0.55, 0.75, 0.85 and 0.999; right, wrong, right, right."""
    chances = np.array([0.55, 0.75, 0.85, 0.999])
    logits = np.stack([np.zeros(4), np.log(chances / (1 - chances))], axis=1)
    found = accuracy_at_scores(logits, np.array([1, 0, 1, 1]))
    assert [(record["score"], record["coverage"], record["accuracy"]) for record in found] == [
        (0.5, 1.0, 0.75), (0.6, 0.75, 0.666667), (0.7, 0.75, 0.666667), (0.8, 0.5, 1.0),
        (0.9, 0.25, 1.0), (0.95, 0.25, 1.0), (0.99, 0.25, 1.0),
    ]  # fmt: skip
    assert accuracy_at_scores(logits[:1], np.array([1]))[-1] == {"score": 0.99, "coverage": 0.0, "accuracy": None}
