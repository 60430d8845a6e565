"""Text infilling: write a text again of which spans were replaced by one mask each. Source: Lewis et al. 2020, BART."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from pipeline.objectives.sequence_to_sequence import SequenceToSequenceLoss, collate_sequences
from pipeline.objectives.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.params import PretrainParams

MEAN_SPAN = 3.0  # of the Poisson distribution that lengths of spans are drawn from: section 2.2


class TextInfilling:
    """Batches and loss of text infilling over packed sequences of equal length, [CLS] … [SEP]."""

    arrays = ("input_ids",)  # the files of a tokenized corpus that its rows come from

    def __init__(self, share: float, vocabulary: Vocabulary) -> None:
        self.share, self.ids = share, vocabulary.ids

    @classmethod
    def from_params(cls, pretrain: "PretrainParams", vocabulary: Vocabulary) -> "TextInfilling":
        """Return the objective that the section `pretrain` describes."""
        assert pretrain.mask_share is not None  # pipeline.params refuses null for an objective with masks
        return cls(pretrain.mask_share, vocabulary)

    def rows(self, input_ids: np.ndarray) -> np.ndarray:
        """Return the sequences, (rows, length), as `collate` takes them."""
        return input_ids

    def collate(self, rows: Sequence[np.ndarray], generator: np.random.Generator) -> dict[str, Tensor]:
        """Return the rows, ids of shape (length,), with masks in the place of spans, and as they were to be written.

        Written is what stands behind [CLS]. As `collate_sequences` makes a batch.
        """
        masked = [infilled(row, self.share, self.ids["mask_token_id"], generator) for row in rows]
        return collate_sequences(masked, [row[1:] for row in rows], self.ids["pad_token_id"])

    def loss(self, model: nn.Module) -> nn.Module:
        """Return the module that a batch of `collate` goes into."""
        return SequenceToSequenceLoss(model)


def infilled(row: np.ndarray, share: float, mask_token_id: int, generator: np.random.Generator) -> np.ndarray:
    """Return the ids of a row with spans of it replaced by one mask each; the first and the last token stay.

    Spans have lengths from Poisson(MEAN_SPAN), and are drawn until they hold `share` of the tokens between; one of
    length 0 takes nothing out and puts in a mask. They stand among the tokens that are kept in random order. Source:
    Lewis et al. 2020, section 2.2.
    """
    inner = len(row) - 2
    left, lengths = round(share * inner), []
    while left > 0:
        lengths.append(min(int(generator.poisson(MEAN_SPAN)), left))
        left -= lengths[-1]
    kept = inner - sum(lengths)
    spans = np.sort(generator.permutation(kept + len(lengths))[: len(lengths)])
    pieces, at = [row[:1]], 1
    for length, before in zip(lengths, np.diff(spans, prepend=-1) - 1, strict=True):
        pieces += [row[at : at + before], np.array([mask_token_id], dtype=row.dtype)]
        at += int(before) + length
    return np.concatenate([*pieces, row[at:]])
