"""How many labels look wrong: what a simple model says that has not seen the row, where it is surest of itself.

After confident learning (Northcutt, Jiang & Chuang 2021), which also counts only the rows that out-of-fold
probabilities speak clearly about. Its estimate counts a hard row as a wrong one: 10, 22 and 34 % on the default's
sentences with 0, 10 and 20 % of the labels exchanged, where the surest fifth gives 4, 15 and 26 %. It stays an upper
bound: of what a model cannot learn, and of few rows, nobody can tell a hard row from a wrong one.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
SUREST_SHARE = 0.2
SUSPECTS = 20
CONFIDENCE = 0.99


class Suspect(NamedTuple):
    """A row whose label the model doubts: its position, the label it would give, the probability of that one."""

    row: int
    other: str
    probability: float


class LabelNoise(NamedTuple):
    """The rows judged, the share of wrong labels among those the model is surest of, the most doubtful rows of all.

    `at_least` is the lower end of the share's one-sided interval: of a few rows some are wrong by chance.
    """

    rows: int
    share: float
    at_least: float
    suspects: list[Suspect]

    def table(self) -> "pd.DataFrame":
        """Return what the limit is held against as the one record of its suite: of, share."""
        import pandas as pd

        return pd.DataFrame({"of": ["labels"], "share": [self.at_least]})


def estimate(words: csr_array, labels: np.ndarray) -> LabelNoise:
    """Estimate the share of wrong labels; `words` is a sparse (rows, words) matrix of 0 and 1, `labels` text (rows,).

    Naive Bayes on TF-IDF weights labels each fold after learning from the others. Labels of fewer than FOLDS rows are
    left out; where fewer than two labels are left, no row is judged and the share is 0.
    """
    from scipy.stats import binomtest
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.naive_bayes import MultinomialNB

    names, counts = np.unique(labels, return_counts=True)
    names = names[counts >= FOLDS]
    if len(names) < 2:
        return LabelNoise(0, 0.0, 0.0, [])
    judged = np.flatnonzero(np.isin(labels, names))
    given = np.searchsorted(names, labels[judged])
    weights = TfidfTransformer().fit_transform(words[judged])
    folds = StratifiedKFold(FOLDS)
    probabilities = cross_val_predict(MultinomialNB(), weights, given, cv=folds, method="predict_proba")
    said = probabilities.argmax(axis=1)
    surest = np.argsort(-probabilities.max(axis=1), kind="stable")[: math.ceil(len(judged) * SUREST_SHARE)]
    doubtful = np.argsort(probabilities[np.arange(len(judged)), given], kind="stable")
    suspects = [
        Suspect(int(judged[i]), str(names[said[i]]), float(probabilities[i, said[i]]))
        for i in doubtful[:SUSPECTS]
        if said[i] != given[i]
    ]
    wrong = binomtest(int(np.sum(said[surest] != given[surest])), len(surest), alternative="greater")
    return LabelNoise(len(judged), float(wrong.statistic), float(wrong.proportion_ci(CONFIDENCE).low), suspects)
