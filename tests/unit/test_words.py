"""Words, tags and spans: what spans say of words and words of spans, strictly in the IOB2 scheme."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.words import spans_of, tag_names, tags_of, words

LABELS = ["person", "place"]
OUTSIDE, B_PERSON, I_PERSON, B_PLACE, I_PLACE = range(5)
TEXT = "Ada met Bo-Li in New York."


def test_words_are_runs_of_letters_single_signs_and_characters_without_spaces() -> None:
    assert [TEXT[start:end] for start, end in words(TEXT)] == [
        "Ada", "met", "Bo", "-", "Li", "in", "New", "York", ".",
    ]  # fmt: skip
    assert words("東京に行く2024年") == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 9), (9, 10)]
    assert words("  \n") == []


@pytest.mark.parametrize("text", ["ne\u0301w", "हिन्दी", "か\u3099", "👍\ufe0f", "कि\u200dत"])
def test_accents_and_joiners_belong_to_the_sign_before_them(text: str) -> None:
    assert words(f"{text} york") == [(0, len(text)), (len(text) + 1, len(text) + 5)]


def test_tags_name_every_label_twice() -> None:
    assert tag_names(LABELS) == ["O", "B-person", "I-person", "B-place", "I-place"]


def test_spans_become_tags_and_tags_spans() -> None:
    spans = [(0, 3, "person"), (8, 13, "person"), (17, 25, "place")]
    tags = tags_of(words(TEXT), spans, LABELS)
    assert tags == [B_PERSON, OUTSIDE, B_PERSON, I_PERSON, I_PERSON, OUTSIDE, B_PLACE, I_PLACE, OUTSIDE]
    assert spans_of(words(TEXT), tags, LABELS) == spans


@pytest.mark.parametrize(
    "tags, spans",
    [
        ([I_PERSON, OUTSIDE], []),
        ([OUTSIDE, I_PERSON], []),
        ([B_PERSON, I_PLACE], [(0, 1, "person")]),
        ([B_PERSON, I_PLACE, I_PERSON], [(0, 1, "person")]),
        ([B_PERSON, B_PERSON, I_PERSON], [(0, 1, "person"), (2, 5, "person")]),
        ([B_PLACE], [(0, 1, "place")]),
    ],
    ids=["begins inside", "inside after none", "other label", "comes back", "side by side", "words without tags"],
)
def test_what_does_not_begin_does_not_count(tags: list[int], spans: list[tuple[int, int, str]]) -> None:
    assert spans_of([(0, 1), (2, 3), (4, 5)], tags, LABELS) == spans


def test_an_unknown_label_is_an_error() -> None:
    with pytest.raises(KeyError, match="animal"):
        tags_of([(0, 1)], [(0, 1, "animal")], LABELS)


@given(st.lists(st.integers(0, 4), max_size=12))
def test_spans_of_tags_have_tags_that_spell_the_same_spans(tags: list[int]) -> None:
    borders = [(2 * place, 2 * place + 1) for place in range(len(tags))]
    spans = spans_of(borders, tags, LABELS)
    assert spans_of(borders, tags_of(borders, spans, LABELS), LABELS) == spans
