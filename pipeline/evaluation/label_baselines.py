"""What a student that gives texts any number of labels has to beat: a logistic regression for each label by itself.

Each returns the names of the labels of every test row. Regularisation, the same for all labels, is chosen on dev.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.evaluation.baselines import (
    INVERSE_REGULARISATION,
    INVERSE_REGULARISATION_SOFT,
    MAX_ITERATIONS,
    tfidf,
)
from pipeline.evaluation.figures import Answers

LabelSets = list[frozenset[str]]
Splits = tuple[Any, Any, Any]  # train, dev and test


class OneVersusRest:
    """Fits a logistic regression for each of `labels`; `dev_score` says how good answers to dev are."""

    def __init__(self, labels: list[str], dev_score: Callable[[Answers], float]) -> None:
        self.labels, self.dev_score = labels, dev_score

    def answers(self, settings: Sequence[float], features: Splits, yes: np.ndarray, weights: np.ndarray) -> LabelSets:
        """Return the labels of the test rows by the setting that is best on dev, the more regularised one of equals.

        features: of the rows of train, dev and test; yes: bool (rows, labels), which labels train has; weights: float
        (rows, labels), what each of these counts.
        """
        _, dev, test = features
        fitted = [self._fit(setting, features[0], yes, weights) for setting in settings]
        best = max(fitted, key=lambda models: self.dev_score(self._said(models, dev)))
        return self._said(best, test)

    def _fit(self, setting: float, features: Any, yes: np.ndarray, weights: np.ndarray) -> list[Any]:
        """Return a model for each label, and where all rows say the same of one what they say."""
        models: list[Any] = []
        for own, weight in zip(yes.T, weights.T, strict=True):
            if own.all() or not own.any():
                models.append(bool(own.any()))
            else:
                model = LogisticRegression(C=setting, solver="liblinear", max_iter=MAX_ITERATIONS)
                models.append(model.fit(features, own, weight))
        return models

    def _said(self, models: list[Any], features: Any) -> LabelSets:
        rows = features.shape[0]
        columns = [np.full(rows, m) if isinstance(m, bool) else m.predict(features).astype(bool) for m in models]
        return [frozenset(self.labels[i] for i in np.flatnonzero(row)) for row in np.stack(columns, axis=1)]


def as_matrix(label_sets: Sequence[frozenset[str]], labels: list[str]) -> np.ndarray:
    """Return which of `labels` each row has, bool (rows, labels)."""
    return np.array([[label in row for label in labels] for row in label_sets], dtype=bool)


def same_labels(train: Sequence[frozenset[str]], test_rows: int) -> LabelSets:
    """Give every row the same labels, those with the best micro F1 on the rows `train`: the most frequent few, or none.

    With N rows, and the k most frequent labels c_1 >= ... >= c_k times among C in all, that F1 is 2 (c_1 + ... + c_k) /
    (k N + C).
    """
    names = sorted(set().union(*train))
    counts = np.array([sum(name in row for row in train) for name in names], dtype=np.int64)
    if not len(counts):
        return [frozenset()] * test_rows
    order = np.argsort(-counts, kind="stable")
    found = 2 * np.cumsum(counts[order]) / (np.arange(1, len(names) + 1) * len(train) + counts.sum())
    return [frozenset(names[i] for i in order[: found.argmax() + 1])] * test_rows


def tfidf_logistic_regression(fitted: OneVersusRest, texts: Splits, yes: np.ndarray) -> LabelSets:
    """A logistic regression for each label on TF-IDF of words and pairs of words."""
    return fitted.answers(INVERSE_REGULARISATION, _weighed(texts), yes, np.ones(yes.shape))


def distilled_tfidf_logistic_regression(fitted: OneVersusRest, texts: Splits, teacher_logits: np.ndarray) -> LabelSets:
    """The same on the teacher's soft labels for the rows of train and transfer; teacher_logits: (rows, labels).

    A row has the labels that the teacher finds likelier than not. Each answer counts by its distance from a half.
    """
    margins = np.abs(np.tanh(teacher_logits.astype(np.float64) / 2))  # |2p - 1|
    return fitted.answers(INVERSE_REGULARISATION_SOFT, _weighed(texts), teacher_logits > 0, margins)


def frozen_encoder_logistic_regression(fitted: OneVersusRest, vectors: Splits, yes: np.ndarray) -> LabelSets:
    """The same on the vectors of an encoder that is not trained itself, (rows, width) a split."""
    scaler = StandardScaler().fit(vectors[0])
    scaled = (scaler.transform(vectors[0]), scaler.transform(vectors[1]), scaler.transform(vectors[2]))
    settings = tuple(c / 100 for c in INVERSE_REGULARISATION)  # standardised vectors are far longer than TF-IDF ones
    return fitted.answers(settings, scaled, yes, np.ones(yes.shape))


def _weighed(texts: Splits) -> Splits:
    weights = tfidf(len(texts[0]))
    return weights.fit_transform(texts[0]), weights.transform(texts[1]), weights.transform(texts[2])
