"""What a student that compares texts has to beat: cosines of vectors that nobody trained on scores.

Each returns one number for every row of pairs, float64 (rows,); only their order counts.
"""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline.evaluation.baselines import WORD
from pipeline.evaluation.table import LabelledTexts


def tfidf_cosine(train: LabelledTexts, test: LabelledTexts) -> np.ndarray:
    """Cosine of the TF-IDF of words, which weigh by how rare they are among the texts of train."""
    return _tfidf_cosine(TfidfVectorizer(token_pattern=WORD), train, test)


def character_tfidf_cosine(train: LabelledTexts, test: LabelledTexts) -> np.ndarray:
    """The same of runs of two to five characters within words, so that forms of one word are alike."""
    return _tfidf_cosine(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)), train, test)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of `first` with that of `second`, (rows, width) both; 0 for a zero vector."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.divide((first * second).sum(axis=1), norms, out=np.zeros(len(norms)), where=norms > 0)


def _tfidf_cosine(weights: TfidfVectorizer, train: LabelledTexts, test: LabelledTexts) -> np.ndarray:
    weights.fit([*train.texts, *(train.pairs or [])])
    first, second = weights.transform(test.texts), weights.transform(test.pairs or [])
    # their rows have length 1
    return np.asarray(first.multiply(second).sum(axis=1), dtype=np.float64).ravel()
