"""Figures of merit from what can be counted row by row, so that rows can be left out, grouped and resampled at will."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from pipeline.evaluation import text_figures
from pipeline.evaluation.answer_texts import SCALE, exact_matches, token_overlaps
from pipeline.params.task_types import TASK_TYPES, TYPE_OF_METRIC
from pipeline.words import Span

# one a row: a class's index, a number, the names of its labels, the spans of its text, a text, what predicting a text
# costs in nats, float64 (rows,), or what is measured of that, characters and tokens, int64 (rows, 2)
Answers = np.ndarray | Sequence[int] | Sequence[frozenset[str]] | Sequence[Sequence[Span]] | Sequence[str | None]


class Figure(NamedTuple):
    """A figure in two steps.

    counts: from the actual and the given answers of N rows what each row adds, int64 (N, k).
    of: from such counts, summed over any rows, (..., k), the figure, (...).
    sign: 1 where more is better, -1 where less is.
    unit: how people write it: a share as `%`, a share as `points` of a hundred, or a number as it is.
    """

    counts: Callable[[Any, Any], np.ndarray]
    of: Callable[[np.ndarray], np.ndarray]
    sign: int = 1
    unit: Literal["%", "points", ""] = "%"

    def shown(self, value: float) -> str:
        """Return a value as people write it."""
        return f"{value:.1%}" if self.unit == "%" else f"{self.drawn(value):.{1 if self.unit else 3}f}"

    def change(self, value: float, sign: Literal["", "+"] = "+", digits: int = 1) -> str:
        """Return the difference of two values as people write it: that of two shares in points of a hundred."""
        return self._signed(value, sign, digits) + (" points" if self.unit else "")

    def change_interval(self, bounds: Sequence[float], sign: Literal["", "+"] = "+") -> str:
        """Return the interval of a difference to stand behind `change`, which has the unit."""
        return " to ".join(self._signed(bound, sign, 1) for bound in bounds)

    def _signed(self, value: float, sign: str, digits: int) -> str:
        return f"{self.drawn(value):{sign}z.{digits if self.unit else digits + 2}f}"  # z: no minus before a nought

    def drawn(self, value: float) -> float:
        """Return a value as an axis has it: of a hundred where it is a share."""
        return 100 * value if self.unit else value


def score(metric: str, actual: Answers, answers: Answers) -> float:
    """Return the figure `metric` of answers."""
    return float(FIGURES[metric].of(FIGURES[metric].counts(actual, answers).sum(axis=0)))


def slice_metric(metric: str) -> str:
    """Return the figure of slices where models are compared by `metric`: the first one of its type of task."""
    return TASK_TYPES[TYPE_OF_METRIC[metric]].metrics[0]


def _right(actual: Answers, answers: Answers) -> np.ndarray:
    """Return for each row whether its class is the actual one, and 1."""
    right = np.asarray(actual) == np.asarray(answers)
    return np.stack([right, np.ones_like(right)], axis=1).astype(np.int64)


def _accuracy(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _by_class(actual: Answers, answers: Answers) -> np.ndarray:
    """Return for each class of `actual`: 2 where both put a row into it, and how many of the two do."""
    classes = np.unique(np.asarray(actual))
    members, named = (np.asarray(column)[:, None] == classes for column in (actual, answers))
    counts = np.stack([2 * (members & named), members.astype(np.int64) + named], axis=2)
    return counts.reshape(len(members), -1).astype(np.int64)


def _macro_f1(sums: np.ndarray) -> np.ndarray:
    """Return the plain mean over classes of 2 tp / (2 tp + fp + fn), 0 for a class of which the rows have none."""
    hits, total = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 2), -1, 0)
    return np.asarray((hits / np.maximum(total, 1)).mean(axis=-1))


def found_and_named(actual: Answers, answers: Answers) -> np.ndarray:
    """Return for each row how many spans, or labels, are right, how many are given and how many there are.

    A span is right in borders and label. Source: Tjong Kim Sang & De Meulder 2003, section 4.
    """
    pairs = [(set(given), set(there)) for given, there in zip(answers, actual, strict=True)]
    counts = [(len(given & there), len(given), len(there)) for given, there in pairs]
    return np.array(counts, dtype=np.int64).reshape(-1, 3)


def _micro_f1(sums: np.ndarray) -> np.ndarray:
    """Return 2 tp / (2 tp + fp + fn), 1 where nothing is given nor there."""
    total = sums[..., 1] + sums[..., 2]
    return np.where(total > 0, 2 * sums[..., 0] / np.maximum(total, 1), 1.0)


def _by_label(actual: Any, answers: Any) -> np.ndarray:
    """Return for each label that a row of `actual` has: 2 where both give it to a row, and how many of the two do."""
    labels = sorted(set().union(*actual)) or [""]
    there, given = (
        np.array([[label in row for label in labels] for row in rows], dtype=np.int64) for rows in (actual, answers)
    )
    return np.stack([2 * (there & given), there + given], axis=2).reshape(len(there), -1)


def _all_right(actual: Any, answers: Any) -> np.ndarray:
    """Return for each row whether its labels are exactly the actual ones, and 1."""
    return np.array([(one == other, 1) for one, other in zip(actual, answers, strict=True)], dtype=np.int64)


def _mean_of_scaled(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 0] / SCALE / sums[..., 1])


def _ranked(actual: Answers, answers: Answers) -> np.ndarray:
    """Return for each row 1, both its ranks x and y, x², y² and xy.

    A rank is among all N rows given here, twice its distance from the middle one: whole numbers from 1 - N to N - 1,
    also where rows tie, which share the mean of their ranks.
    """
    x, y = (_doubled_ranks(np.asarray(column)) for column in (actual, answers))
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _doubled_ranks(values: np.ndarray) -> np.ndarray:
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return (2 * np.cumsum(times) - times - len(values)).astype(np.int64)[place]


def _spearman(sums: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of the ranks, 0 where one of them never changes.

    Of all rows it is Spearman's coefficient. Where rows are resampled or left out their ranks stay what they are among
    all of them, which is a close approximation: a rank's place among the drawn rows varies by chance alone.
    """
    rows, x, y, xx, yy, xy = np.moveaxis(sums.astype(np.float64), -1, 0)
    spread = (rows * xx - x * x) * (rows * yy - y * y)
    return np.where(spread > 0, (rows * xy - x * y) / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)


def _costs(actual: Answers, answers: Answers) -> np.ndarray:
    """Return for each row the millionths of a nat that its text costs, and its characters and tokens."""
    micro_nats = np.rint(1e6 * np.asarray(answers, dtype=np.float64)).astype(np.int64)
    return np.concatenate([micro_nats[:, None], np.asarray(actual, dtype=np.int64)], axis=1)


def _bits_per_character(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 0] / 1e6 / np.log(2) / np.maximum(sums[..., 1], 1))


def _perplexity(sums: np.ndarray) -> np.ndarray:
    """Return exp of the mean nats of a token, Jelinek et al. 1977; of a token even where a model has characters."""
    return np.exp(sums[..., 0] / 1e6 / np.maximum(sums[..., 2], 1))


def _flips(before: Answers, after: Answers) -> np.ndarray:
    """Return for each row whether its class is another one than before, and 1."""
    flipped = np.asarray(before) != np.asarray(after)
    return np.stack([flipped, np.ones_like(flipped)], axis=1).astype(np.int64)


def _moves(before: Any, after: Any) -> np.ndarray:
    """Return for each row how much probability moved from some classes to others, times SCALE, and 1.

    Both are float (rows, classes). It is the distance of two distributions in total variation.
    """
    moved = np.abs(np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)).sum(axis=1) / 2
    return np.stack([np.rint(SCALE * moved), np.ones(len(moved))], axis=1).astype(np.int64)


FIGURES = {
    "accuracy": Figure(_right, _accuracy),
    "macro_f1": Figure(_by_class, _macro_f1),
    "micro_f1": Figure(found_and_named, _micro_f1),
    "macro_label_f1": Figure(_by_label, _macro_f1),
    "subset_accuracy": Figure(_all_right, _accuracy),
    "span_f1": Figure(found_and_named, _micro_f1),
    "token_f1": Figure(token_overlaps, _mean_of_scaled),
    "exact_match": Figure(exact_matches, _accuracy),
    "spearman": Figure(_ranked, _spearman, unit="points"),
    "bits_per_character": Figure(_costs, _bits_per_character, sign=-1, unit=""),
    "perplexity": Figure(_costs, _perplexity, sign=-1, unit=""),
    "bleu": Figure(text_figures.bleu_counts, text_figures.bleu, unit="points"),
    "chrf": Figure(text_figures.chrf_counts, text_figures.chrf, unit="points"),
    "rouge_1": Figure(text_figures.rouge_counts(1), text_figures.rouge, unit="points"),
    "rouge_2": Figure(text_figures.rouge_counts(2), text_figures.rouge, unit="points"),
    "rouge_l": Figure(text_figures.rouge_counts(None), text_figures.rouge, unit="points"),
    # of the same rows before and after a change that should make no difference (evaluation/fairness.py)
    "flip_rate": Figure(_flips, _accuracy, sign=-1),
    "score_gap": Figure(_moves, _mean_of_scaled, sign=-1),
}
