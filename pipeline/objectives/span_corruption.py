"""Span corruption: write the spans that were taken out of a text. Source: Raffel et al. 2020 (T5), section 3.1.4."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from pipeline.objectives.sequence_to_sequence import SequenceToSequenceLoss, collate_sequences
from pipeline.objectives.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.params import PretrainParams

MEAN_SPAN = 3.0


class SpanCorruption:
    """Batches and loss of span corruption over packed sequences of equal length, [CLS] … [SEP].

    In the place of the first span stands the last id of the vocabulary, of the second the one before it, and so on: as
    in T5's own vocabulary, whose last ids are its sentinels. In one that was trained here they are its rarest tokens,
    which keep their meaning where they stand in a text.
    """

    arrays = ("input_ids",)  # the files of a tokenized corpus that its rows come from

    def __init__(self, share: float, vocabulary: Vocabulary) -> None:
        self.share, self.ids, self.last_id = share, vocabulary.ids, vocabulary.size - 1

    @classmethod
    def from_params(cls, pretrain: "PretrainParams", vocabulary: Vocabulary) -> "SpanCorruption":
        """Return the objective that the section `pretrain` describes."""
        assert pretrain.mask_share is not None  # pipeline.params refuses null for an objective with masks
        return cls(pretrain.mask_share, vocabulary)

    def rows(self, input_ids: np.ndarray) -> np.ndarray:
        """Return the sequences, (rows, length), as `collate` takes them."""
        return input_ids

    def collate(self, rows: Sequence[np.ndarray], generator: np.random.Generator) -> dict[str, Tensor]:
        """Return the rows, ids of shape (length,), with sentinels in the place of spans, and the spans to be written.

        As `collate_sequences` makes a batch.
        """
        pairs = [corrupted(row, self.share, self.last_id, self.ids["sep_token_id"], generator) for row in rows]
        return collate_sequences([read for read, _ in pairs], [spans for _, spans in pairs], self.ids["pad_token_id"])

    def loss(self, model: nn.Module) -> nn.Module:
        """Return the module that a batch of `collate` goes into."""
        return SequenceToSequenceLoss(model)


def corrupted(
    row: np.ndarray, share: float, last_id: int, end_token_id: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of a row with a sentinel in the place of each span, and each span behind its sentinel.

    The first and the last token stay; what is written ends with `end_token_id`. `share` of the tokens between are taken
    out, in spans of MEAN_SPAN tokens on average. All ways to cut what goes and what stays into pieces are equally
    likely, and pieces of both take turns: the random segmentation of T5's code.
    """
    inner = len(row) - 2
    gone = min(max(round(share * inner), 1), inner - 1)
    spans = min(max(round(gone / MEAN_SPAN), 1), inner - gone)
    kept, taken = _pieces(inner - gone, spans, generator), _pieces(gone, spans, generator)
    read, written, at = [row[:1]], [], 1
    for number, (before, length) in enumerate(zip(kept, taken, strict=True)):
        sentinel = np.array([last_id - number], dtype=row.dtype)
        read += [row[at : at + before], sentinel]
        written += [sentinel, row[at + before : at + before + length]]
        at += int(before + length)
    end = np.array([end_token_id], dtype=row.dtype)
    return np.concatenate([*read, row[at:]]), np.concatenate([*written, end])


def _pieces(total: int, pieces: int, generator: np.random.Generator) -> np.ndarray:
    """Return the lengths of `pieces` pieces of at least 1 that `total` is cut into."""
    cuts = np.sort(generator.permutation(total - 1)[: pieces - 1]) + 1
    return np.diff(cuts, prepend=0, append=total)
