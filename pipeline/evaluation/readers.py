"""What a student that answers questions has to beat: readers that are not trained, or hardly.

A linear model of the teacher's soft labels, as there is for labels and tags, would be none: from the words of question
and text in no order it cannot tell one place from another. The nearest thing is a linear model of what an encoder that
has read both says of each word.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.evaluation.baselines import MAX_ITERATIONS, WORD
from pipeline.words import ENDS, STARTS

INVERSE_REGULARISATION = (0.001, 0.01, 0.1)
NEGATIVES = 20  # words that answer nothing for each one that does: a sample, as most of a text answers nothing
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")


def most_similar_sentence(train: Sequence[str], texts: Sequence[str], questions: Sequence[str]) -> list[str]:
    """Answer each question with the sentence of its text that has the largest TF-IDF cosine with it.

    The weights of words are learnt from the texts `train`; of equal sentences the first.
    """
    weights = TfidfVectorizer(token_pattern=WORD, sublinear_tf=True).fit(train)
    answers = []
    for text, question in zip(texts, questions, strict=True):
        sentences = [part for part in _SENTENCE_END.split(text.strip()) if part]
        overlap = weights.transform(sentences) @ weights.transform([question]).T
        answers.append(sentences[int(overlap.toarray().argmax())])
    return answers


def frozen_encoder_reader(
    train: np.ndarray,
    labels: np.ndarray,
    dev: np.ndarray,
    test: np.ndarray,
    dev_score: Callable[[np.ndarray], float],
) -> np.ndarray:
    """Logistic regression of start and of end on the vectors of words of an encoder that is not trained itself.

    train, dev, test: (words, width), the vectors of targets; labels: int64 (words,), sums of STARTS and ENDS;
    dev_score: the figure of dev from logits (words, 2). Returns the logits of test, (words, 2).
    """
    models = [[_fitted(train, labels & mark > 0, c) for mark in (STARTS, ENDS)] for c in INVERSE_REGULARISATION]

    def logits(pair: list[Callable[[np.ndarray], np.ndarray]], vectors: np.ndarray) -> np.ndarray:
        return np.stack([model(vectors) for model in pair], axis=1)

    return logits(max(models, key=lambda pair: dev_score(logits(pair, dev))), test)


def _fitted(vectors: np.ndarray, marked: np.ndarray, c: float) -> Callable[[np.ndarray], np.ndarray]:
    chosen = np.flatnonzero(marked)
    others = np.random.default_rng(0).permutation(np.flatnonzero(~marked))[: NEGATIVES * len(chosen)]
    rows = np.sort(np.concatenate([chosen, others]))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=MAX_ITERATIONS))
    fitted = model.fit(vectors[rows], marked[rows])
    return lambda vectors: np.asarray(fitted.decision_function(vectors), dtype=np.float64)
