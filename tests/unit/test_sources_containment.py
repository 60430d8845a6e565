"""Every text that stands inside another is found, and nothing else is, for any window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import characters
from pipeline.sources.characters import letters
from pipeline.sources.containment import contained


def pairs(texts: list[str], needles: list[int], haystacks: list[int], window: int) -> set[tuple[int, int]]:
    found = contained(letters(texts), np.array(needles, dtype=int), np.array(haystacks, dtype=int), window)
    return {(int(needle), int(haystack)) for needle, haystack in found}


def test_case_spaces_digits_and_punctuation_do_not_hide_a_text() -> None:
    texts = ["A truly great film, 10/10!", "So. It's a TRULY great-film I think", "A great film"]
    assert pairs(texts, [0, 2], [1], window=8) == {(0, 1)}


def test_a_text_of_too_few_letters_matches_nothing() -> None:
    assert pairs(["good one", "a good one"], [0], [1], window=8) == set()
    assert pairs(["good one", "a good one"], [0], [1], window=7) == {(0, 1)}


def test_a_match_does_not_reach_over_the_end_of_a_text() -> None:
    assert pairs(["abcdefghij", "xxabcde", "fghijxx"], [0], [1, 2], window=4) == set()


def test_needles_with_one_beginning_are_told_apart() -> None:
    texts = ["the film was wonderful", "the film was dreadful", "I say the film was dreadful indeed"]
    assert pairs(texts, [0, 1], [2], window=8) == {(1, 2)}


@given(st.lists(st.text("ab é1", max_size=12), min_size=2, max_size=12), st.integers(1, 6))
def test_agrees_with_a_search_of_all_pairs(texts: list[str], window: int) -> None:
    half = len(texts) // 2
    needles, haystacks = list(range(half)), list(range(half, len(texts)))
    plain = ["".join(character for character in text.lower() if character.isalpha()) for text in texts]
    expected = {(i, j) for i in needles for j in haystacks if len(plain[i]) >= window and plain[i] in plain[j]}
    assert pairs(texts, needles, haystacks, window) == expected


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{'filler words ' * (i % 5)} needle number {chr(97 + i)} here" for i in range(20)]
    needles = [f"needle number {chr(97 + i)}" for i in range(20)]
    whole = pairs(texts + needles, list(range(20, 40)), list(range(20)), window=8)
    monkeypatch.setattr(characters, "BATCH_CHARACTERS", 50)
    assert pairs(texts + needles, list(range(20, 40)), list(range(20)), window=8) == whole
    assert whole == {(20 + i, i) for i in range(20)}
