"""Augmentation makes the same texts every time, one for each group, and none that a model is measured on."""

from collections import Counter

import pytest

from pipeline.tokenization.augmentation import DESCRIPTIONS, counterfactuals, describe


def test_texts_and_where_they_come_from() -> None:
    texts = ["My father is German.", "nobody", "a queen", "My mother is German."]
    found = counterfactuals(texts, set(texts))
    assert found == [(0, "My father is Chinese."), (2, "a king"), (3, "My mother is Chinese.")]
    assert counterfactuals(texts, set(texts)) == found
    assert counterfactuals(texts, {*texts, "a king"}) == [found[0], found[2]]


def test_a_text_appears_once() -> None:
    assert counterfactuals(["a king", "a king"], {"a king"}) == [(0, "a queen")]


def test_a_person_is_said_to_be_of_a_group() -> None:
    ((index, made),) = counterfactuals(["Nothing here.", "A friend of friends."], set())
    assert index == 1
    first, description, rest = made.split(" ", 2)
    assert rest == "friend of friends." and any(description in words for words in DESCRIPTIONS)
    assert first == ("An" if description[0].lower() in "aeiou" else "A")
    assert describe("A friend of friends.") == made


@pytest.mark.parametrize("text", ["a co-writer and a writer-director", "friendly artistry", ""])
def test_a_word_inside_of_another_is_no_person(text: str) -> None:
    assert describe(text) is None


def test_rare_groups_are_named_as_often_as_others() -> None:
    group_of = {word: index for index, words in enumerate(DESCRIPTIONS) for word in words}
    made = [describe(f"the friend of number {number}") for number in range(1000)]
    named = Counter(group_of[text.split()[1]] for text in made if text is not None)
    assert all(150 < named[group] < 250 for group in range(len(DESCRIPTIONS)))
