"""What a student that labels words has to beat: taggers that take seconds to a minute to train.

Each returns the tag of every test word, an index into `pipeline.words.tag_names`. What they choose (regularisation),
they choose on dev; where two settings tie there, the more regularised one stays.
"""

import ctypes
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pycrfsuite import Tagger, Trainer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.words import Span, spans_of, words

REACH = 2  # neighbours on either side that a word is seen with
REGULARISATION = (1.0, 0.1)
INVERSE_REGULARISATION = (0.01, 0.1)  # of standardised vectors
PASSES = 10
SEED = 0
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
    def by_row(self) -> list[list[str]]:
        """The words of each text."""
        return [self.words[first:last] for first, last in itertools.pairwise(self.rows.tolist())]

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


def conditional_random_field(
    train: Words, tags: np.ndarray, dev: Words, test: Words, dev_score: DevScore
) -> np.ndarray:
    """Give each text the likeliest tags by a linear-chain CRF (Lafferty, McCallum & Pereira 2001).

    Linear in the features of a word, of its neighbours within REACH and in the pair of tags beside each other; trained
    by stochastic gradients of the likelihood with an L2 penalty, which dev chooses.
    """
    if (tags == tags[0]).all():  # nothing to fit
        return np.full(len(test.words), tags[0], dtype=np.int64)
    trainer = Trainer("l2sgd", {"max_iterations": PASSES}, verbose=False)
    for row, (first, last) in zip(train.by_row, itertools.pairwise(train.rows.tolist()), strict=True):
        if row:
            trainer.append(features(row), [str(tag) for tag in tags[first:last]])
    taggers = [_fitted(trainer, penalty) for penalty in REGULARISATION]
    return _tagged(max(taggers, key=lambda tagger: dev_score(_tagged(tagger, dev))), test)


def distilled_conditional_random_field(
    texts: Words, teacher_logits: np.ndarray, dev: Words, test: Words, dev_score: DevScore
) -> np.ndarray:
    """The same CRF on the tags that the teacher finds likeliest: what a student has to add to a linear model.

    `texts` are training and transfer texts, `teacher_logits` (words, classes) those of their words. How sure the
    teacher is of a word does not count: CRFsuite has no weights for the words of a row.
    """
    return conditional_random_field(texts, teacher_logits.argmax(axis=1), dev, test, dev_score)


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


def features(row: Sequence[str]) -> list[list[str]]:
    """Return for each word of a row what a linear model knows of it.

    The word and its shape, with its distance, of it and its neighbours within REACH; it together with the word before
    and with the one after; its start and its end.
    """
    padded = [*[""] * REACH, *row, *[""] * REACH]
    small, known = [word.lower() for word in padded], [word_and_shape(word) for word in padded]
    found = []
    for place, word in enumerate(row, start=REACH):
        near = [f"{away} {name}" for away in range(-REACH, REACH + 1) for name in known[place + away]]
        pairs = [f"after {small[place - 1]} {small[place]}", f"before {small[place + 1]} {small[place]}"]
        found.append([*near, *pairs, *start_and_end(word)])
    return found


def word_and_shape(word: str) -> list[str]:
    """Return a word in small letters and its shape (`McX-9` is `XxX-9`), or that there is none."""
    if not word:
        return ["none"]
    kinds = ("X" if sign.isupper() else "x" if sign.isalpha() else "9" if sign.isdigit() else sign for sign in word)
    return [f"word {word.lower()}", f"shape {''.join(kind for kind, _ in itertools.groupby(kinds))}"]


def start_and_end(word: str) -> list[str]:
    """Return up to three small letters of a word's start and of its end."""
    small = word.lower()
    return [name for size in (1, 2, 3) for name in (f"starts {small[:size]}", f"ends {small[-size:]}")]


def _fitted(trainer: Trainer, penalty: float) -> Tagger:
    ctypes.CDLL(None).srand(SEED)  # CRFsuite shuffles rows by C's own random numbers
    trainer.set("c2", penalty)
    tagger = Tagger()
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.crfsuite")  # it knows no other way from a trainer to a tagger
        trainer.train(path)
        tagger.open(path)  # read as a whole
    return tagger


def _tagged(tagger: Tagger, rows: Words) -> np.ndarray:
    return np.array([int(tag) for row in rows.by_row for tag in tagger.tag(features(row))], dtype=np.int64)
