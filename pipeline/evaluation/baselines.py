"""What a student that labels texts has to beat: classifiers that take seconds to train.

Each returns the predicted class index of every test row. Whatever they choose (smoothing, regularisation), they choose
on dev; where two settings tie there, the more regularised one stays.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.evaluation.figures import Answers
from pipeline.evaluation.table import LabelledTexts

# a word of letters and digits, or one character of a script that is written without spaces
WORD = r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+"
SMOOTHING = (3.0, 1.0, 0.3, 0.1)
INVERSE_REGULARISATION = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
INVERSE_REGULARISATION_SOFT = (3.0, 10.0)  # under 3 was never best on dev, and each costs seconds
MIN_FREQUENCY = 2
MAX_ITERATIONS = 1000


def majority(train: Answers, test_rows: int) -> np.ndarray:
    """Predict the class most frequent among the labels `train` for every row; of equal ones the first."""
    return np.full(test_rows, np.bincount(np.asarray(train)).argmax(), dtype=np.int64)


def naive_bayes(train: LabelledTexts, dev: LabelledTexts, test: Sequence[str]) -> np.ndarray:
    """Multinomial naive Bayes on words and pairs of words (Wang & Manning 2012, section 2.1)."""
    counts = CountVectorizer(ngram_range=(1, 2), token_pattern=WORD)
    features = counts.fit_transform(train.words)
    best = _best_on_dev(
        SMOOTHING,
        lambda alpha: MultinomialNB(alpha=alpha).fit(features, train.actual),
        counts.transform(dev.words),
        dev.actual,
    )
    return _classes(best.predict(counts.transform(test)))


def tfidf_logistic_regression(train: LabelledTexts, dev: LabelledTexts, test: Sequence[str]) -> np.ndarray:
    """Logistic regression on TF-IDF of words and pairs of words, from the labels."""
    weights = tfidf(len(train.words))
    features = weights.fit_transform(train.words)
    best = _best_on_dev(
        INVERSE_REGULARISATION,
        lambda c: LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(features, train.actual),
        weights.transform(dev.words),
        dev.actual,
    )
    return _classes(best.predict(weights.transform(test)))


def distilled_tfidf_logistic_regression(
    texts: Sequence[str], teacher_logits: np.ndarray, dev: LabelledTexts, test: Sequence[str]
) -> np.ndarray:
    """The same linear model on the teacher's soft labels: what a student has to add to a linear one.

    `texts` are training and transfer sentences, `teacher_logits` theirs, (rows, classes).
    """
    labels = teacher_logits.argmax(axis=1)
    if (labels == labels[0]).all():  # a teacher that learnt nothing leaves nothing to fit
        return majority(labels, len(test))
    return _classes(fit_to_teacher(texts, teacher_logits, dev).predict(test))


def fit_to_teacher(texts: Sequence[str], teacher_logits: np.ndarray, dev: LabelledTexts) -> Pipeline:
    """Return the linear model on the teacher's soft labels, which takes texts.

    A row counts for the class the teacher finds likeliest, with the distance to the next one as its weight: as good as
    a row for every class weighted by its probability, in a quarter of the time.
    """
    ranked = np.sort(softmax(teacher_logits.astype(np.float64), axis=1), axis=1)
    labels, margins = teacher_logits.argmax(axis=1), ranked[:, -1] - ranked[:, -2]
    weights = tfidf(len(texts))
    features = weights.fit_transform(texts)
    solver = "liblinear" if teacher_logits.shape[1] == 2 else "lbfgs"  # the faster one, which knows two classes only
    best = _best_on_dev(
        INVERSE_REGULARISATION_SOFT,
        lambda c: LogisticRegression(C=c, solver=solver, max_iter=MAX_ITERATIONS).fit(features, labels, margins),
        weights.transform(dev.words),
        dev.actual,
    )
    return make_pipeline(weights, best)


def frozen_encoder_logistic_regression(
    train: np.ndarray, train_labels: Answers, dev: np.ndarray, dev_labels: Answers, test: np.ndarray
) -> np.ndarray:
    """Logistic regression on the vectors of an encoder that is not trained itself, (rows, width) a split."""
    best = _best_on_dev(
        tuple(c / 100 for c in INVERSE_REGULARISATION),  # standardised vectors are far longer than TF-IDF ones
        lambda c: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=MAX_ITERATIONS)).fit(
            train, train_labels
        ),
        dev,
        dev_labels,
    )
    return _classes(best.predict(test))


def tfidf(rows: int) -> TfidfVectorizer:
    """Return what weighs the words and the pairs of words of `rows` texts."""
    least = MIN_FREQUENCY if rows >= 1000 else 1  # in a handful of rows next to nothing stands twice
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, min_df=least, sublinear_tf=True)


def _best_on_dev(settings: Sequence[float], fit: Callable[[float], Any], dev_features: Any, dev_labels: Answers) -> Any:
    return max((fit(setting) for setting in settings), key=lambda model: model.score(dev_features, dev_labels))


def _classes(predicted: Any) -> np.ndarray:
    return np.asarray(predicted, dtype=np.int64)
