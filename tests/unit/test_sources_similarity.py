"""Shingles are runs of words, and near-duplicates are what Jaccard similarity of the shingles says."""

import numpy as np
import pytest

from pipeline.params import DecontaminationParams
from pipeline.sources import characters
from pipeline.sources.near_duplicates import NearDuplicates, band_shape, sketches
from pipeline.sources.similarity import shingles

PARAMS = DecontaminationParams(min_letters=24, similarity=0.8, shingle_words=3, permutations=64)


def near(texts: list[str], marked: list[int]) -> list[int]:
    own = sketches(PARAMS, band_shape(PARAMS), texts)
    references = NearDuplicates([texts[i] for i in marked], own[marked], PARAMS)
    return np.flatnonzero(references.near(texts, own)).tolist()


def test_shingles_count_runs_of_words() -> None:
    texts = ["One, two three FOUR", "one two", "one", "", "...", "good good good good", "很好看啊"]
    assert [len(item) for item in shingles(texts, 3)] == [2, 1, 1, 0, 0, 1, 2]


def test_shingles_ignore_case_and_punctuation_but_not_digits_or_order() -> None:
    a, b, c, d = shingles(["It was 7 of ten", "it WAS... 7 of ten!", "It was 8 of ten", "of 7 was it ten"], 3)
    assert np.array_equal(a, b)
    assert not set(a) & set(c) - set(b)
    assert not set(a) & set(d)


def test_jaccard_over_hand_counted_shingles() -> None:
    words = [f"word{i}" for i in range(40)]  # 38 shingles
    one_at_the_end = [*words[:39], "other"]  # shares 37 of 39 -> 0.95
    one_in_the_middle = [*words[:20], "other", *words[21:]]  # shares 35 of 41 -> 0.85
    two_in_the_middle = [*words[:10], "other", *words[11:30], "other", *words[31:]]  # shares 32 of 44 -> 0.73
    texts = [" ".join(item) for item in (words, one_at_the_end, one_in_the_middle, two_in_the_middle)]
    assert near(texts, [0]) == [0, 1, 2]


def test_texts_without_words_are_near_nothing() -> None:
    assert near(["...", "!!!", "one two three"], [0]) == []


def test_copies_and_order_do_not_matter() -> None:
    texts = ["the same words here"] * 3 + ["quite another text stands here"] + ["The same words, here!"]
    assert near(texts, [1]) == [0, 1, 2, 4]
    assert near(texts[::-1], [3]) == [0, 2, 3, 4]


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one two three four five", "", "six seven", "one two three four six"] * 3
    whole = shingles(texts, 3)
    monkeypatch.setattr(characters, "BATCH_CHARACTERS", 30)
    assert all(np.array_equal(a, b) for a, b in zip(whole, shingles(texts, 3), strict=True))
