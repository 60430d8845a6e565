"""Figures against values worked out by hand; the F1 of spans as seqeval's strict IOB2 mode counts it."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.evaluation.figures import FIGURES, score
from pipeline.words import Span, spans_of, tag_names

LABELS = ["person", "place"]


def test_accuracy_and_macro_f1_by_hand() -> None:
    actual, answers = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    # class 0: tp 2, fp 2, fn 1 -> 4/7; class 1: tp 1, fp 1, fn 1 -> 1/2; class 2: never predicted -> 0
    assert score("accuracy", actual, answers) == pytest.approx(3 / 6)
    assert score("macro_f1", actual, answers) == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)


def test_what_each_row_adds() -> None:
    actual, answers = np.array([0, 2, 2]), np.array([0, 2, 1])
    assert FIGURES["accuracy"].counts(actual, answers).tolist() == [[1, 1], [1, 1], [0, 1]]
    # of class 0 and of class 2, those that the labels know: twice a hit, members and named
    assert FIGURES["macro_f1"].counts(actual, answers).tolist() == [[2, 2, 0, 0], [0, 0, 2, 2], [0, 0, 0, 1]]
    there = [[(0, 3, "person"), (4, 9, "place")], [], [(2, 5, "place")]]
    given = [[(0, 3, "person"), (4, 8, "place")], [(0, 1, "place")], [(2, 5, "person")]]
    assert FIGURES["span_f1"].counts(there, given).tolist() == [[1, 2, 2], [0, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize("metric", FIGURES)
def test_rows_can_be_summed_in_any_groups(metric: str) -> None:
    random = np.random.default_rng(0)
    actual, answers = random.integers(0, 3, 50), random.integers(0, 3, 50)
    if metric == "span_f1":
        actual, answers = ([[(0, int(end), "a")] * bool(end) for end in column] for column in (actual, answers))
    elif metric in ("micro_f1", "macro_label_f1", "subset_accuracy"):
        actual, answers = ([frozenset("abc"[:size]) for size in column] for column in (actual, answers))
    elif metric in ("bits_per_character", "perplexity"):
        actual, answers = random.integers(1, 9, (50, 2)), random.random(50)
    elif metric == "score_gap":
        actual, answers = random.dirichlet(np.ones(3), 50), random.dirichlet(np.ones(3), 50)
    elif metric not in ("accuracy", "macro_f1", "spearman", "flip_rate"):
        actual, answers = ([f"a girl sees {'big ' * int(more)}dogs" for more in column] for column in (actual, answers))
    figure = FIGURES[metric]
    counts = figure.counts(actual, answers)
    assert counts.dtype == np.int64 and len(counts) == 50
    several = figure.of(np.stack([counts[:10].sum(axis=0), counts.sum(axis=0)]))
    assert several.shape == (2,) and several[1] == score(metric, actual, answers)


def test_a_class_that_only_answers_name_is_left_out_of_the_mean() -> None:
    assert score("macro_f1", np.array([0, 0]), np.array([0, 0])) == 1.0
    assert score("macro_f1", np.array([0, 0]), np.array([0, 1])) == pytest.approx(2 / 3)


def test_f1_of_spans_by_hand() -> None:
    actual: list[list[Span]] = [[(0, 3, "person"), (4, 9, "place")], [(0, 5, "place")], [], [(0, 2, "person")]]
    answers: list[list[Span]] = [
        [(0, 3, "person"), (4, 8, "place")],  # one right, one with a wrong border
        [(0, 5, "person")],  # the wrong label
        [(1, 2, "place")],  # made up
        [],  # missed
    ]
    assert score("span_f1", actual, answers) == pytest.approx(2 * 1 / (4 + 4))
    assert score("span_f1", actual, actual) == 1.0
    assert score("span_f1", actual, [[]] * 4) == 0.0


def test_neither_given_nor_there_is_right() -> None:
    assert score("span_f1", [[], []], [[], []]) == 1.0


# tags of a few sentences as IOB2, actual and answered, and the F1 that seqeval 1.2.2 gives them with
# f1_score(actual, answered, mode="strict", scheme=IOB2); P is person, L place
STRICT = [
    ("O BP IP O BL", "O BP IP O BL", 1.0),
    ("O BP IP O BL", "O BP O O BL", 1 / 2),  # cut short
    ("O BP IP O BL", "O IP IP O BL", 2 / 3),  # I begins nothing
    ("BP IP IP", "BP IL IP", 0.0),  # an I of another label ends the span, and the I after it begins none
    ("BP IP O", "BP BP O", 0.0),  # two spans for one
    ("BP BP O", "BP IP O", 0.0),  # one for two
    ("BP O IP BL", "BP O O BL", 1.0),  # an actual I after O is no span either
    ("BL IL BL IL", "BL IL BL IL", 1.0),  # neighbours of one label
    ("BL IL BL IL", "BL IL IL IL", 0.0),
    ("O O O BP", "BP O O BP", 2 / 3),
]


@pytest.mark.parametrize(("actual", "answered", "expected"), STRICT)
def test_tags_count_as_in_the_strict_mode_of_seqeval(actual: str, answered: str, expected: float) -> None:
    assert score("span_f1", [spans(actual)], [spans(answered)]) == pytest.approx(expected)


def test_all_sentences_together_count_as_in_the_strict_mode_of_seqeval() -> None:
    actual, answered = ([spans(row[side]) for row in STRICT] for side in (0, 1))
    assert score("span_f1", actual, answered) == pytest.approx(6 / 11)  # its figure of the ten in one list


def spans(tags: str) -> list[Span]:
    names = {name[0] + name[2:3].upper(): index for index, name in enumerate(tag_names(["P", "L"]))}
    numbers = [names[tag] for tag in tags.split()]
    return spans_of([(2 * word, 2 * word + 1) for word in range(len(numbers))], numbers, LABELS)


def test_values_and_their_differences_as_people_write_them() -> None:
    accuracy, bleu, perplexity = (FIGURES[name] for name in ("accuracy", "bleu", "perplexity"))
    assert (accuracy.shown(0.8414), bleu.shown(0.3216), perplexity.shown(31.4159)) == ("84.1%", "32.2", "31.416")
    assert (accuracy.change(0.0125), bleu.change(-0.0216)) == ("+1.2 points", "-2.2 points")
    assert (perplexity.change(0.5), accuracy.change(0.01, "", 2)) == ("+0.500", "1.00 points")
    assert accuracy.change_interval([-0.004, 0.04]) == "-0.4 to +4.0"
    assert perplexity.change_interval([-0.004, 0.04]) == "-0.004 to +0.040"
    assert accuracy.change_interval([-0.0004, -0.0]) == "+0.0 to +0.0"  # no minus before a nought


@pytest.mark.parametrize("digits", [1, 6])
def test_spearman_is_scipys_with_and_without_ties(digits: int) -> None:
    chance = np.random.default_rng(digits)
    actual = chance.random(500).round(digits) * 5
    answers = (actual + chance.normal(0, 2, 500)).round(digits)
    assert score("spearman", actual, answers) == pytest.approx(spearmanr(actual, answers)[0], abs=1e-9)
    assert score("spearman", actual, -actual) == pytest.approx(-1)
    assert score("spearman", actual, np.exp(actual)) == pytest.approx(1)


def test_ranks_by_hand_and_none_at_all() -> None:
    # 0.1, 0.1 and 0.7 share ranks 1, 2 and have 3: twice the distances from the middle, 2, are -1, -1, 2
    counts = FIGURES["spearman"].counts(np.array([3.0, 1.0, 2.0]), np.array([0.7, 0.1, 0.1]))
    assert counts.tolist() == [[1, 2, 2, 4, 4, 4], [1, -2, -1, 4, 1, 2], [1, 0, -1, 0, 1, 0]]
    assert score("spearman", np.array([3.0, 1.0]), np.array([0.5, 0.5])) == 0.0
