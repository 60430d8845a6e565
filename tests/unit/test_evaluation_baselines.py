"""Baselines on texts whose answer is known: they learn it, choose on dev, and stand what real data bring."""

import numpy as np
import pytest

from pipeline.evaluation import baselines
from pipeline.evaluation.table import LabelledTexts

TEST = ["a warm film", "a dull film", "warm and bright", "dull and slow"]
ANSWERS = [1, 0, 1, 0]


def labelled(texts: list[str], labels: list[int]) -> LabelledTexts:
    return LabelledTexts([str(row) for row in range(len(texts))], texts, None, np.array(labels), ["s"] * len(texts))


@pytest.fixture
def train() -> LabelledTexts:
    return labelled(["warm film", "bright scene", "dull film", "slow scene"] * 5, [1, 1, 0, 0] * 5)


@pytest.fixture
def dev() -> LabelledTexts:
    return labelled(["bright film", "slow film"], [1, 0])


def test_majority_is_the_most_frequent_class_and_of_equal_ones_the_first() -> None:
    assert baselines.majority(np.array([1, 1, 0]), 3).tolist() == [1, 1, 1]
    assert baselines.majority(np.array([1, 0]), 2).tolist() == [0, 0]


def test_word_models_learn_from_labels(train: LabelledTexts, dev: LabelledTexts) -> None:
    assert baselines.naive_bayes(train, dev, TEST).tolist() == ANSWERS
    assert baselines.tfidf_logistic_regression(train, dev, TEST).tolist() == ANSWERS


@pytest.mark.parametrize("classes", [2, 3])
def test_the_distilled_one_follows_the_teacher_not_the_labels(
    train: LabelledTexts, dev: LabelledTexts, classes: int
) -> None:
    logits = np.full((len(train.texts), classes), -3.0, dtype=np.float32)
    logits[np.arange(len(logits)), 1 - np.asarray(train.actual)] = 3.0  # a teacher that turns the labels round
    logits[0] = logits[0][::-1] if classes == 2 else [-3.0, -3.0, 3.0]
    turned = labelled(list(dev.texts), [0, 1])
    predicted = baselines.distilled_tfidf_logistic_regression(train.texts, logits, turned, TEST)
    assert predicted.tolist() == [1 - answer for answer in ANSWERS]


def test_a_row_the_teacher_is_unsure_of_weighs_less(dev: LabelledTexts) -> None:
    texts, logits = ["warm film"] * 4 + ["dull film"] * 3, np.zeros((7, 2), dtype=np.float32)
    logits[:, 1] = [0.01, 0.01, 0.01, 3.0, -3.0, -3.0, -3.0]
    logits[0, 1] = -0.01  # once the other way, by a hair
    predicted = baselines.distilled_tfidf_logistic_regression(texts, logits, dev, ["warm film", "dull film"])
    assert predicted.tolist() == [1, 0]


def test_a_teacher_that_knows_one_answer_only_is_followed(train: LabelledTexts, dev: LabelledTexts) -> None:
    logits = np.tile(np.array([-1.0, 1.0], dtype=np.float32), (len(train.texts), 1))
    assert baselines.distilled_tfidf_logistic_regression(train.texts, logits, dev, TEST).tolist() == [1, 1, 1, 1]


def test_scripts_without_spaces_are_read_by_character(dev: LabelledTexts) -> None:
    train = labelled(["这部电影很好", "非常好看", "这部电影很差", "非常差劲"] * 3, [1, 1, 0, 0] * 3)
    chinese = labelled(["很好", "很差"], [1, 0])
    assert baselines.naive_bayes(train, chinese, ["好看", "差"]).tolist() == [1, 0]


def test_frozen_vectors_are_separated() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    vectors = random.normal(size=(40, 8)) + 3 * labels[:, None]
    predicted = baselines.frozen_encoder_logistic_regression(vectors, labels, vectors, labels, vectors[:6])
    assert predicted.tolist() == labels[:6].tolist()
