"""What a student that labels words has to beat: taggers that take a minute or two to train.

Each returns the tag of every test word, an index into `pipeline.words.tag_names`. What they choose (regularisation),
they choose on dev; where two settings tie there, the more regularised one stays.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import StandardScaler

from pipeline.words import Span, spans_of, words

REACH = 2  # neighbours on either side that a word is seen with
LOSS = "modified_huber"
REGULARISATION = (1e-5, 3e-6)
INVERSE_REGULARISATION = (0.01, 0.1)  # of standardised vectors
PASSES = 10
MIN_FREQUENCY = 2
MAX_ITERATIONS = 1000

DevScore = Callable[[np.ndarray], float]  # of the tags of dev's words


@dataclass(frozen=True)
class Words:
    """The words of N texts after one another: row i has words[rows[i]:rows[i + 1]]; rows: int64 (N + 1,)."""

    words: list[str]
    rows: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str], targets: np.ndarray | None = None) -> "Words":
        """Split texts; with `targets`, (N + 1,), each keeps its first targets[i + 1] - targets[i] words."""
        found = [[text[start:end] for start, end in words(text)] for text in texts]
        if targets is not None:
            found = [row[:count] for row, count in zip(found, np.diff(targets).tolist(), strict=True)]
        rows = np.cumsum([0] + [len(row) for row in found], dtype=np.int64)
        return cls([*itertools.chain(*found)], rows)

    @property
    def row_of_word(self) -> np.ndarray:
        """The row that each word is in, int64 (words,)."""
        return np.repeat(np.arange(len(self.rows) - 1), np.diff(self.rows))

    def spans(self, texts: Sequence[str], tags: np.ndarray, labels: list[str]) -> list[list[Span]]:
        """Return the spans of each text that the tags of its words spell."""
        ends = itertools.pairwise(self.rows.tolist())
        return [
            spans_of(words(text), tags[first:last].tolist(), labels)
            for text, (first, last) in zip(texts, ends, strict=True)
        ]


def most_frequent_tag(train: Words, tags: np.ndarray, test: Words) -> np.ndarray:
    """Give each word the tag it has most often in train, an unknown one the most frequent; of equal ones the first."""
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for word, tag in zip(train.words, tags.tolist(), strict=True):
        seen[word][tag] += 1
    best = {word: min(counts, key=lambda tag: (-counts[tag], tag)) for word, counts in seen.items()}
    unknown = int(np.bincount(tags).argmax())
    return np.array([best.get(word, unknown) for word in test.words], dtype=np.int64)


def linear_tagger(
    train: Words, tags: np.ndarray, dev: Words, test: Words, dev_score: DevScore, margins: np.ndarray | None = None
) -> np.ndarray:
    """Tag words from left to right by a linear model of each word, its neighbours within REACH and the tag before.

    Greedy, one class against the rest (Ratnaparkhi 1996 has the features). `margins` are the weights of train's words.
    """
    if (tags == tags[0]).all():  # nothing to fit
        return np.full(len(test.words), tags[0], dtype=np.int64)
    window, classes = Window(train), int(tags.max()) + 1
    features = hstack([window.features(train), _tag_before(train, tags, classes)], format="csr")
    on_dev, on_test = window.features(dev), window.features(test)

    def fitted(alpha: float) -> Any:
        model = SGDClassifier(LOSS, alpha=alpha, max_iter=PASSES, tol=None, average=True, random_state=0)
        return model.fit(features, tags, sample_weight=margins)

    best = max(map(fitted, REGULARISATION), key=lambda model: dev_score(_tagged(model, on_dev, dev, classes)))
    return _tagged(best, on_test, test, classes)


def distilled_linear_tagger(
    texts: Words, teacher_logits: np.ndarray, dev: Words, test: Words, dev_score: DevScore
) -> np.ndarray:
    """The same tagger on the teacher's soft labels: what a student has to add to a linear one.

    `texts` are training and transfer texts, `teacher_logits` (words, classes) those of their words. A word counts for
    the tag the teacher finds likeliest, with the distance to the next one as its weight.
    """
    ranked = np.sort(softmax(teacher_logits.astype(np.float64), axis=1), axis=1)
    tags, margins = teacher_logits.argmax(axis=1), ranked[:, -1] - ranked[:, -2]
    return linear_tagger(texts, tags, dev, test, dev_score, margins)


def frozen_encoder_tagger(
    train: np.ndarray, tags: np.ndarray, dev: np.ndarray, test: np.ndarray, dev_score: DevScore
) -> np.ndarray:
    """Logistic regression on the vectors of words of an encoder that is not trained itself, (words, width) a split."""
    if (tags == tags[0]).all():
        return np.full(len(test), tags[0], dtype=np.int64)
    scaler = StandardScaler().fit(train)
    train, dev, test = (scaler.transform(vectors) for vectors in (train, dev, test))
    models = (LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(train, tags) for c in INVERSE_REGULARISATION)
    best = max(models, key=lambda model: dev_score(model.predict(dev)))
    return np.asarray(best.predict(test), dtype=np.int64)


class Window:
    """The features of a word and of its neighbours, each neighbour's by its distance; learnt from frequent words."""

    def __init__(self, train: Words) -> None:
        least = MIN_FREQUENCY if len(train.words) >= 10_000 else 1  # in a handful of rows next to nothing stands twice
        frequent = [word for word, times in Counter(train.words).items() if times >= least]
        self.of_word = CountVectorizer(analyzer=word_features, binary=True, dtype=np.float64).fit([*frequent, ""])

    def features(self, rows: Words) -> csr_array:
        """Return the features of each word, (words, features)."""
        number: dict[str, int] = {}
        kinds = np.array([number.setdefault(word, len(number)) for word in rows.words], dtype=np.int64)
        own, row, places = self.of_word.transform([*number, ""]), rows.row_of_word, np.arange(len(kinds))
        blocks = []
        for distance in range(-REACH, REACH + 1):
            there = np.clip(places + distance, 0, len(kinds) - 1)
            inside = (there == places + distance) & (row[there] == row)
            blocks.append(own[np.where(inside, kinds[there], len(number))])  # the last one: no word
        return hstack(blocks, format="csr")


def word_features(word: str) -> list[str]:
    """Return a word in small letters, its shape (`McX-9` is `XxX-9`) and up to three letters of its start and end."""
    if not word:
        return ["none"]
    small = word.lower()
    kinds = ("X" if sign.isupper() else "x" if sign.isalpha() else "9" if sign.isdigit() else sign for sign in word)
    shape = "".join(kind for kind, _ in itertools.groupby(kinds))
    ends = [name for size in (1, 2, 3) for name in (f"starts {small[:size]}", f"ends {small[-size:]}")]
    return [f"word {small}", f"shape {shape}", *ends]


def _tag_before(rows: Words, tags: np.ndarray, classes: int) -> csr_array:
    """Return for each word which tag the word before it has, `classes` where there is none, as one 1 in a row."""
    before = np.concatenate([[classes], tags[:-1]])
    before[rows.rows[:-1][np.diff(rows.rows) > 0]] = classes
    ones = np.ones(len(tags))
    return csr_array((ones, before, np.arange(len(tags) + 1)), shape=(len(tags), classes + 1))


def _tagged(model: Any, features: csr_array, rows: Words, classes: int) -> np.ndarray:
    """Return the tag of each word given the one before it, all rows at once from left to right."""
    two = len(model.classes_) == 2  # then scikit-learn has one line of weights
    weights, bias = (np.concatenate([-part, part]) if two else part for part in (model.coef_, model.intercept_))
    own, of_before = features @ weights[:, : features.shape[1]].T + bias, weights[:, features.shape[1] :].T
    lengths, tags = np.diff(rows.rows), np.zeros(len(rows.words), dtype=np.int64)
    before = np.full(len(lengths), classes)
    for place in range(lengths.max(initial=0)):
        active = np.flatnonzero(lengths > place)
        here = rows.rows[active] + place
        tags[here] = before[active] = model.classes_[(own[here] + of_before[before[active]]).argmax(axis=1)]
    return tags
