"""The transfer set: unlabelled sentences of the corpus and texts made of the rows, which the teacher labels."""

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

CANDIDATES = 10  # times the sentences wanted: a uniform sample of the corpus that fits into memory
BUCKETS = 2**16
RUN_SHARE = 0.4

# a sentence ends after .!?… and closing quotes before a space, after 。！？ or …… anywhere, and at a line's end;
# dots that end none are tried from the first one only, else ten thousand of them take seconds
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…。！？\n]+(?:[\"'”’»)\]]*\s+|(?:(?<=[。！？\n])|(?<=……))[”’」』）》\"']*)")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana and Han, without spaces
_WORD = re.compile(rf"{_UNSPACED.pattern}\s*|(?:(?!{_UNSPACED.pattern})\S)+\s*")  # with the space behind it


def split_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of `text` without the space around them. An abbreviation's dot ends one too."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        yield text[start : match.end()].strip()
        start = match.end()
    yield text[start:].strip()


def count_words(text: str) -> int:
    """Count words at spaces; two characters of Chinese or Japanese, written without spaces, count as one word."""
    if text.isascii():
        return len(text.split())
    unspaced = len(_UNSPACED.findall(text))
    return len(_UNSPACED.sub(" ", text).split()) + (unspaced + 1) // 2


def select_sentences(
    texts: Iterable[str], sentences: int, min_words: int, max_words: int, like: Sequence[str] | None = None
) -> list[tuple[str, str]]:
    """Return up to `sentences` distinct sentences of `min_words` to `max_words` words as (id, text), sorted by id.

    The id is a hash of the text and the smallest ones are taken: a fair sample that depends neither on the order of
    `texts` nor on a seed, and loses as few sentences as can be when the corpus grows. With `like`, the sample leans
    towards what those texts are made of (`importance`), drawn from CANDIDATES times as many.
    """
    candidates = sentences if like is None else CANDIDATES * sentences
    found: dict[str, str] = {}
    for text in texts:
        for sentence in split_sentences(text):
            if min_words <= count_words(sentence) <= max_words:
                found[content_id(sentence)] = sentence
        if len(found) > 2 * candidates:  # memory stays bounded however large the corpus
            found = dict(heapq.nsmallest(candidates, found.items()))
    sample = heapq.nsmallest(candidates, found.items())
    if like is None or len(sample) <= sentences:
        return sample
    uniform = (np.array([int(id_, 16) for id_, _ in sample], dtype=np.float64) + 0.5) / 2.0**64
    # the largest of log-weight + Gumbel noise are a draw without replacement (Kool et al. 2019, section 2.3)
    keys = importance([text for _, text in sample], like) - np.log(-np.log(uniform))
    return [sample[i] for i in np.sort(np.argsort(-keys, kind="stable")[:sentences])]


def importance(texts: Sequence[str], like: Sequence[str]) -> np.ndarray:
    """Return log p(text | like) - log p(text | texts) of each of `texts` under bags of hashed words and pairs of words.

    Source: Xie et al. 2023, "Data Selection for Language Models via Importance Resampling", section 3. Float64,
    (texts,).
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    pattern = rf"{_UNSPACED.pattern}|\w+"
    bags = HashingVectorizer(
        ngram_range=(1, 2), n_features=BUCKETS, token_pattern=pattern, alternate_sign=False, norm=None
    )
    raw = bags.transform(texts)
    wanted, present = (np.asarray(bag.sum(axis=0)).ravel() + 1.0 for bag in (bags.transform(like), raw))
    return np.asarray(raw @ (np.log(wanted / wanted.sum()) - np.log(present / present.sum())))


def content_id(sentence: str) -> str:
    """Return the id of a text of the transfer set: a hash of it."""
    return hashlib.sha256(sentence.encode()).hexdigest()[:16]


def recombine(rows: Sequence[str], count: int, min_words: int, max_words: int, seed: int) -> list[tuple[str, str]]:
    """Return up to `count` distinct texts made of pieces of `rows` as (id, text), sorted by id; no row stands in them.

    RUN_SHARE of the draws are a run of words of one row, the others the beginning of one and the end of another: texts
    in the rows' own words and style, which no corpus has. Source: Tang et al. 2019, "Distilling Task-Specific Knowledge
    from BERT into Simple Neural Networks", section 3.2 (n-gram sampling).
    """
    generator = np.random.default_rng(seed)
    words = [pieces for pieces in map(_WORD.findall, rows) if len(pieces) >= min_words]
    found: dict[str, str] = {}
    for _ in range(count if words else 0):
        first, second = (words[i] for i in generator.integers(len(words), size=2))
        if generator.random() < RUN_SHARE:
            length = generator.integers(min_words, len(first) + 1)
            start = generator.integers(len(first) - length + 1)
            parts = [first[start : start + length]]
        else:
            parts = [first[: generator.integers(1, len(first) + 1)], second[generator.integers(len(second)) :]]
        text = " ".join("".join(part).strip() for part in parts)
        if min_words <= count_words(text) <= max_words:
            found[content_id(text)] = text
    for row in rows:
        found.pop(content_id(row), None)
    return sorted(found.items())
