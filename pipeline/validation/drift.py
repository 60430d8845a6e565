"""Whether a batch of rows is of the kind that a reference is: its words, its lengths, its labels, what a model sees.

Each is one distance from 0 (the same) to 1 (nothing in common), and a test of whether chance explains it. A batch has
drifted where a distance is over the limit and beyond chance: the first alone would cry over every small batch, the
second over any large one.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    import pandas as pd

FALSE_ALARMS = 0.01  # of batches that have not drifted, over all aspects together (Bonferroni)


class Difference(NamedTuple):
    """How far a batch is from its reference in one aspect, and how probable that is where there is no difference."""

    distance: float
    p_value: float


def compare(
    words: csr_array, characters: np.ndarray, labels: np.ndarray | None, in_batch: np.ndarray
) -> dict[str, Difference]:
    """Compare the rows of a batch with the others; nothing, where either side has fewer than two rows.

    `words` is a sparse (rows, words) matrix of 0 and 1, `characters` the length of each text, `labels` text (rows,) or
    None, `in_batch` bool (rows,). words: the Kolmogorov-Smirnov distance between the scores of a naive Bayes classifier
    that learnt the two sides apart on every other row and scores the rest (classifier two-sample test, Lopez-Paz &
    Oquab 2017). length: the same distance between the lengths. labels: the total variation distance between their
    shares, with Pearson's chi-squared test.
    """
    if min(in_batch.sum(), (~in_batch).sum()) < 2:
        return {}
    differences = {"words": _words(words, in_batch), "length": _distance(characters, in_batch)}
    return differences if labels is None else differences | {"labels": of_labels(labels, in_batch)}


def distances(differences: dict[str, Difference]) -> "pd.DataFrame":
    """Return one record for each aspect: aspect, distance; 0 where chance explains it. The limit is held against it."""
    import pandas as pd

    level = FALSE_ALARMS / max(len(differences), 1)
    beyond_chance = [found.distance if found.p_value < level else 0.0 for found in differences.values()]
    return pd.DataFrame({"aspect": list(differences), "distance": beyond_chance})


def of_vectors(vectors: np.ndarray, in_batch: np.ndarray) -> Difference | None:
    """Compare what a model makes of the rows of a batch, (rows, width), with the others; `in_batch` is bool (rows,).

    As with words, but what tells the sides apart is a linear discriminant with shrinkage (Ledoit & Wolf 2004). It looks
    at rows that it has not learnt from, so what it learnt cannot raise an alarm by chance. None, where either side has
    fewer than four rows, as it takes two to learn how far those of a side are apart.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    if min(in_batch.sum(), (~in_batch).sum()) < 4:
        return None
    learnt = _learnt(in_batch)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(vectors[learnt], in_batch[learnt])
    return _distance(model.decision_function(vectors[~learnt]), in_batch[~learnt])


def _learnt(in_batch: np.ndarray) -> np.ndarray:
    """Return every other row of either side, bool (rows,)."""
    learnt = np.zeros(len(in_batch), dtype=bool)
    for side in (in_batch, ~in_batch):
        learnt[np.flatnonzero(side)[::2]] = True
    return learnt


def _words(words: csr_array, in_batch: np.ndarray) -> Difference:
    from sklearn.naive_bayes import MultinomialNB

    learnt = _learnt(in_batch)
    model = MultinomialNB(fit_prior=False).fit(words[learnt], in_batch[learnt])
    of_reference, of_batch = model.predict_joint_log_proba(words[~learnt]).T
    return _distance(of_batch - of_reference, in_batch[~learnt])


def _distance(values: np.ndarray, in_batch: np.ndarray) -> Difference:
    from scipy.stats import ks_2samp

    found = ks_2samp(values[in_batch], values[~in_batch], method="asymp")
    return Difference(float(found.statistic), float(found.pvalue))


def of_labels(labels: np.ndarray, in_batch: np.ndarray) -> Difference:
    """Compare the labels of a batch, text (labels,), with the others; `in_batch` is bool (labels,)."""
    from scipy.stats import chi2_contingency

    names, codes = np.unique(labels, return_inverse=True)
    counts = np.stack([np.bincount(codes[side], minlength=len(names)) for side in (~in_batch, in_batch)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return Difference(float(np.abs(shares[0] - shares[1]).sum() / 2), float(chi2_contingency(counts).pvalue))
