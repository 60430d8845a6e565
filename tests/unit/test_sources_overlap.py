"""Held-out texts are found in other texts, and these in them, whether all are compared at once or piece by piece."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params import DecontaminationParams
from pipeline.sources import characters
from pipeline.sources.overlap import HeldOut, overlapping
from pipeline.sources.similarity import shingles

RULES = DecontaminationParams(min_letters=12, similarity=0.6, shingle_words=2, permutations=64)
HELD_OUT = [
    "a quiet film about two brothers and a boat",
    "the last act drags",
    "!!",
    "",
    "she never wrote the letter that he was waiting for all summer",
]
TEXTS = [
    "nothing of the kind",
    "A quiet film about two brothers, and a boat!",  # the same words
    "a quiet film about two brothers and a bicycle",  # 7 of 9 shingles
    "as they say, the last act drags: on and on",  # one of them stands inside it
    "wrote the letter that he was waiting",  # it stands inside one of them
    "wrote the",  # too few letters for that
    "",
    "??",
]


def test_what_is_the_same_nearly_the_same_inside_or_around_overlaps() -> None:
    assert overlapping(TEXTS, HELD_OUT, RULES).tolist() == [False, True, True, True, True, False, False, False]


def test_pieces_are_compared_as_the_whole() -> None:
    held_out, chance = HeldOut(HELD_OUT, RULES), np.random.default_rng(0)
    texts = [TEXTS[i] for i in chance.integers(len(TEXTS), size=100)]
    pieces = [held_out.overlapping(texts[start : start + 7]) for start in range(0, len(texts), 7)]
    assert np.concatenate(pieces).tolist() == overlapping(texts, HELD_OUT, RULES).tolist()
    assert HeldOut([], RULES).overlapping(texts).tolist() == [False] * 100
    assert held_out.overlapping([]).tolist() == []


def every_pair(texts: list[str], held_out: list[str], rules: DecontaminationParams) -> list[bool]:
    """The plain way: each text with each held-out one."""
    sets = [set(own.tolist()) for own in shingles([*texts, *held_out], rules.shingle_words)]
    letters = ["".join(filter(str.isalpha, text.lower())) for text in (*texts, *held_out)]

    def overlap(i: int, j: int) -> bool:
        similar = len(sets[i] & sets[j]) >= rules.similarity * len(sets[i] | sets[j]) and bool(sets[i] & sets[j])
        shorter, longer = sorted((letters[i], letters[j]), key=len)
        return similar or (len(shorter) >= rules.min_letters and shorter in longer)

    others = range(len(texts), len(sets))
    return [any(overlap(i, j) for j in others) for i in range(len(texts))]


WORDS = st.lists(st.sampled_from(["a", "film", "Great", "dull,", "très", "好看", "10", "boat", "!"]), max_size=9)


@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=6), st.sampled_from([0.25, 0.5, 1.0]), st.integers(1, 3))
def test_what_is_found_is_what_a_comparison_of_every_pair_finds(
    texts: list[list[str]], held_out: list[list[str]], similarity: float, size: int
) -> None:
    rules = DecontaminationParams(min_letters=8, similarity=similarity, shingle_words=size, permutations=64)
    own, others = [" ".join(words) for words in texts], [" ".join(words) for words in held_out]
    assert overlapping(own, others, rules).tolist() == every_pair(own, others, rules)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "BATCH_CHARACTERS", 40)
    assert overlapping(TEXTS * 3, HELD_OUT, RULES).tolist() == every_pair(TEXTS, HELD_OUT, RULES) * 3
