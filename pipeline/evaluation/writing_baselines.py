"""What a text can be answered with where nothing is written: another text, or the text word by word."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.words import words

LEAD = 3  # sentences
EM_STEPS = 5
MIN_PROBABILITY = 1e-6
BLOCK = 500  # texts compared at a time
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?。！？]+(?=\s|$)|(?<=[。！？])|(?=\n|$))")


def of_most_similar(texts: Sequence[str], targets: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return for each text that is asked the target of the most similar of `texts`, by TF-IDF over words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(tokenizer=_words, token_pattern=None, sublinear_tf=True)
    known, wanted = vectorizer.fit_transform(texts).T.tocsr(), vectorizer.transform(asked)
    nearest: list[int] = []
    for start in range(0, len(asked), BLOCK):
        nearest += np.asarray((wanted[start : start + BLOCK] @ known).argmax(axis=1)).ravel().tolist()
    return [targets[row] for row in nearest]


def word_by_word(texts: Sequence[str], targets: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return each text with the likeliest translation in the place of each word, the word itself where it has none.

    The dictionary is that of IBM model 1, without its empty word, after EM_STEPS steps of EM. Source: Brown et al.
    1993, "The Mathematics of Statistical Machine Translation", section 4.2.
    """
    sources, source_names = _numbered(texts)
    written, target_names = _numbered(targets)
    pairs, groups, start = [], [], 0
    for read, said in zip(sources, written, strict=True):
        pairs.append((read[:, None] * len(target_names) + said).ravel())  # each word beside each of its row
        groups.append(np.tile(start + np.arange(len(said)), len(read)))
        start += len(said)
    known, pair = np.unique(np.concatenate(pairs), return_inverse=True)
    group, source = np.concatenate(groups), known // len(target_names)
    probabilities = np.ones(len(known))
    for _ in range(EM_STEPS):
        shares = probabilities[pair]
        shares /= np.bincount(group, shares)[group]
        counts = np.bincount(pair, shares)
        probabilities = np.maximum(counts / np.bincount(source, counts)[source], MIN_PROBABILITY)
    order = np.argsort(probabilities, kind="stable")  # the likeliest of a word comes last
    dictionary = {
        source_names[word]: target_names[at]
        for word, at in zip(source[order], known[order] % len(target_names), strict=True)
    }
    return ["".join(_replaced(text, dictionary)) for text in asked]


def lead(texts: Sequence[str]) -> list[str]:
    """Return the first LEAD sentences of each text; a line's end ends one too."""
    return [" ".join(_sentences(text)[:LEAD]) for text in texts]


def longest_sentence(texts: Sequence[str]) -> list[str]:
    """Return the longest sentence of each text."""
    return [max(_sentences(text), key=len, default="") for text in texts]


def _sentences(text: str) -> list[str]:
    return [match.group().strip() for match in _SENTENCE.finditer(text) if match.group().strip()]


def _words(text: str) -> list[str]:
    return [text[start:end].lower() for start, end in words(text)]


def _numbered(texts: Sequence[str]) -> tuple[list[np.ndarray], list[str]]:
    """Return the words of each text as numbers, int64, and the word of each number; cased."""
    numbers: dict[str, int] = {}
    rows = [
        np.array([numbers.setdefault(text[start:end], len(numbers)) for start, end in words(text)], dtype=np.int64)
        for text in texts
    ]
    return rows, list(numbers)


def _replaced(text: str, dictionary: dict[str, str]) -> Iterator[str]:
    at = 0
    for start, end in words(text):
        yield text[at:start]
        yield dictionary.get(text[start:end], text[start:end])
        at = end
    yield text[at:]
