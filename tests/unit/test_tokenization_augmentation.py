"""Augmentation makes the same texts every time, one for each group, and none that a model is measured on."""

from pipeline.tokenization.augmentation import counterfactuals


def test_texts_and_where_they_come_from() -> None:
    texts = ["My father is German.", "nobody", "a queen", "My mother is German."]
    found = counterfactuals(texts, set(texts))
    assert found == [(0, "My father is Chinese."), (2, "a king"), (3, "My mother is Chinese.")]
    assert counterfactuals(texts, set(texts)) == found
    assert counterfactuals(texts, {*texts, "a king"}) == [found[0], found[2]]


def test_a_text_appears_once() -> None:
    assert counterfactuals(["a king", "a king"], {"a king"}) == [(0, "a queen")]
