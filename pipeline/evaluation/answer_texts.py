"""Answers as texts, compared by the rules of SQuAD. Source: Rajpurkar et al. 2016, section 6.1."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline.words import ALONE

SCALE = 10**6  # of an F1, so that counts are integers
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ALONE = re.compile(rf"([{ALONE}])")


def normalized(text: str) -> list[str]:
    """Return the words of a text in small letters, without punctuation and articles.

    Characters of scripts that are written without spaces are words by themselves (Cui et al. 2019, CMRC 2018).
    """
    kept = "".join(sign for sign in text.lower() if not _is_punctuation(sign))
    return _ALONE.sub(r" \1 ", _ARTICLES.sub(" ", kept)).split()


def _is_punctuation(sign: str) -> bool:
    # SQuAD's are those of ASCII, signs of money and sums among them
    return unicodedata.category(sign).startswith("P") or sign in "$+<=>^`|~"


def exact_matches(actual: Iterable[Any], answers: Iterable[Any]) -> np.ndarray:
    """Return for each row whether both texts are the same words in the same order, and 1; int64 (rows, 2)."""
    right = [normalized(one) == normalized(other) for one, other in zip(actual, answers, strict=True)]
    return np.stack([right, np.ones(len(right))], axis=1).astype(np.int64)


def token_overlaps(actual: Iterable[Any], answers: Iterable[Any]) -> np.ndarray:
    """Return for each row the F1 of the answer's words, times SCALE, and 1; int64 (rows, 2)."""
    found = [round(SCALE * _f1(normalized(one), normalized(other))) for one, other in zip(actual, answers, strict=True)]
    return np.stack([found, np.ones(len(found))], axis=1).astype(np.int64)


def _f1(actual: list[str], answer: list[str]) -> float:
    """Return 2 · shared / (all of both), a word counted as often as both have it; 1 where both have none."""
    shared = sum((Counter(actual) & Counter(answer)).values())
    return 2 * shared / (len(actual) + len(answer)) if actual or answer else 1.0
