"""Dynamic masking: which tokens are to be predicted, and what stands in their place. No torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.objectives.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.params import PretrainParams

REPLACED_BY_MASK = 0.8
REPLACED_BY_RANDOM = 0.1  # the rest stays as it is


@dataclass(frozen=True)
class Masking:
    """Source: Devlin et al. 2019, section 3.1 and appendix A.1; drawn anew for every batch as in Liu et al. 2019, 4.1.

    share: probability that a token, or with `continues` a whole word, is chosen.
    special: whether an id is a special token, bool of shape (vocabulary,); those are neither chosen nor put in.
    continues: whether an id continues the word before it, bool of shape (vocabulary,); None masks single tokens.
    """

    mask_token_id: int
    share: float
    special: np.ndarray
    continues: np.ndarray | None = None

    @classmethod
    def from_params(cls, pretrain: "PretrainParams", vocabulary: Vocabulary) -> "Masking":
        """Return the masking that the section `pretrain` describes."""
        assert pretrain.mask_share is not None  # pipeline.params refuses null for an objective with masks
        whole_words = continuing_ids(vocabulary.folder, vocabulary.size) if pretrain.whole_word_mask else None
        return cls(vocabulary.ids["mask_token_id"], pretrain.mask_share, vocabulary.special, whole_words)

    def apply(self, ids: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the masked ids, int64 of the shape of `ids` (rows, length), and the chosen positions, bool.

        Of the chosen tokens 80 % become the mask token, 10 % a random ordinary token, 10 % stay.
        """
        chosen = self._draw(ids, generator) & ~self.special[ids]
        masked = ids.astype(np.int64)
        fate = generator.random(ids.shape, dtype=np.float32)
        masked[chosen & (fate < REPLACED_BY_MASK)] = self.mask_token_id
        random = chosen & (fate >= REPLACED_BY_MASK) & (fate < REPLACED_BY_MASK + REPLACED_BY_RANDOM)
        masked[random] = generator.choice(np.flatnonzero(~self.special), size=int(random.sum()))
        return masked, chosen

    def _draw(self, ids: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if self.continues is None:
            return generator.random(ids.shape, dtype=np.float32) < self.share
        starts = ~self.continues[ids]
        starts[:, 0] = True
        starts[:, 1:] |= self.special[ids[:, :-1]]
        word = np.cumsum(starts).reshape(ids.shape) - 1
        return (generator.random(int(word[-1, -1]) + 1, dtype=np.float32) < self.share)[word]


def continuing_ids(tokenizer: Path, vocabulary_size: int) -> np.ndarray:
    """Return, for each id of the tokenizer folder, whether it continues a word: bool of shape (vocabulary,).

    A WordPiece continues when it starts with the tokenizer's prefix (`##`), a byte-level BPE piece when it does not
    start with the mark of a space.
    """
    model = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    continues = np.zeros(vocabulary_size, dtype=bool)
    for piece, index in model["vocab"].items():
        if model["type"] == "WordPiece":
            continues[index] = piece.startswith(model["continuing_subword_prefix"])
        else:
            continues[index] = not piece.startswith(("Ġ", "▁"))
    return continues
