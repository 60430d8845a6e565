"""How texts overlap with those that are more held out than they are: in whole, in part, or nearly word by word."""

import hashlib
from collections.abc import Sequence

import numpy as np

from pipeline.params import DecontaminationParams
from pipeline.sources.characters import Characters, letters
from pipeline.sources.containment import Contained
from pipeline.sources.near_duplicates import NearDuplicates


class References:
    """Texts with which others must not overlap, kept in memory while the others pass."""

    def __init__(self, texts: Sequence[str], sketches: np.ndarray, params: DecontaminationParams) -> None:
        """Keep `texts`, of which `sketches` are the sketches."""
        own = letters(texts)
        self._window = params.min_letters
        self._contained = Contained(own, self._window)
        self._near = NearDuplicates(texts, sketches, params)
        self._short = {letters_key(own, i, texts[i]) for i in self._few_letters(own).tolist()}

    def overlaps(self, texts: Sequence[str], sketches: np.ndarray) -> dict[str, np.ndarray]:
        """Return for each reason which texts overlap with one of these, bool (texts,); none has two reasons."""
        own = letters(texts)
        around, inside = self._contained.around(own), self._contained.inside(own)
        near = self._near.near(texts, sketches)
        for i in self._few_letters(own).tolist():  # with more of them the same letters are contained as well
            near[i] |= letters_key(own, i, texts[i]) in self._short
        return {
            "contains a held-out text": around,
            "phrase of a held-out text": inside & ~around,
            "near-duplicate of a held-out text": near & ~inside & ~around,
        }

    def _few_letters(self, own: Characters) -> np.ndarray:
        return np.flatnonzero(np.diff(own.offsets) < self._window)


def letters_key(characters: Characters, i: int, text: str) -> bytes:
    """Return a hash of a text's letters, so that case does not count, or of the text where it has none."""
    codes = characters.codes[characters.offsets[i] : characters.offsets[i + 1]]
    return hashlib.sha256(codes.astype("<u4").tobytes() if len(codes) else text.encode("utf-32-le")).digest()
