"""The transfer set: unlabelled sentences of the corpus, which the teacher labels for the student."""

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator

# a sentence ends after .!?… and closing quotes before a space, after 。！？ or …… anywhere, and at a line's end
_SENTENCE_END = re.compile(r"[.!?…。！？\n]+(?:[\"'”’»)\]]*\s+|(?:(?<=[。！？\n])|(?<=……))[”’」』）》\"']*)")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana and Han, without spaces


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


def select_sentences(texts: Iterable[str], sentences: int, min_words: int, max_words: int) -> list[tuple[str, str]]:
    """Return up to `sentences` distinct sentences of `min_words` to `max_words` words as (id, text), sorted by id.

    The id is a hash of the text and the smallest ones are taken: a fair sample that depends neither on the order of
    `texts` nor on a seed, and loses as few sentences as can be when the corpus grows.
    """
    found: dict[str, str] = {}
    for text in texts:
        for sentence in split_sentences(text):
            if min_words <= count_words(sentence) <= max_words:
                found[_content_id(sentence)] = sentence
        if len(found) > 2 * sentences:  # memory stays bounded however large the corpus
            found = dict(heapq.nsmallest(sentences, found.items()))
    return heapq.nsmallest(sentences, found.items())


def _content_id(sentence: str) -> str:
    return hashlib.sha256(sentence.encode()).hexdigest()[:16]
