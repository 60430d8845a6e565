"""Every text that stands inside another is found, and nothing else is, for any window."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.characters import letters
from pipeline.sources.containment import Contained, Needles


def pairs(texts: list[str], needles: list[int], haystacks: list[int], window: int) -> set[tuple[int, int]]:
    index = Needles(letters([texts[i] for i in needles]), np.arange(len(needles)), window)
    found = index.inside(letters([texts[i] for i in haystacks]))
    return {(needles[needle], haystacks[haystack]) for needle, haystack in found.tolist()}


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
    first, second = (letters([texts[i] for i in which]) for which in (needles, haystacks))
    assert Contained(first, window).around(second).tolist() == [j in {b for _, b in expected} for j in haystacks]
    assert Contained(second, window).inside(first).tolist() == [i in {a for a, _ in expected} for i in needles]
