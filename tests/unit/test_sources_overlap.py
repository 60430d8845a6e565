"""Held-out texts are found in other texts, and these in them, whether all are compared at once or piece by piece."""

import numpy as np

from pipeline.params import DecontaminationParams
from pipeline.sources.overlap import HeldOut, overlapping

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
