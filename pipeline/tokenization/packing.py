"""Pack documents into sequences of one length, full to the last token: pretraining pays for no padding."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.tokenization.ragged import TokenRows

IS_NEXT, IS_RANDOM = 0, 1  # transformers' convention (BertForNextSentencePrediction)


def pack_stream(documents: TokenRows, sequence_length: int, cls: int, sep: int) -> np.ndarray:
    """Return full sequences of contiguous text, shape (N, sequence_length), in the ids' dtype.

    The documents stand after one another, each ended by [SEP]; the stream is cut every `sequence_length - 2` tokens
    and each piece framed as [CLS] … [SEP]. What is left at the end of the stream, less than a sequence, is dropped.
    Source: Liu et al. 2019 (RoBERTa), section 4.2, FULL-SENTENCES.
    """
    return np.concatenate([*packed([documents], sequence_length, sep, cls)])


def pack_documents(documents: TokenRows, sequence_length: int, sep: int) -> np.ndarray:
    """Return sequences of the documents after one another, each ended by [SEP], shape (N, sequence_length).

    They keep the ids' dtype. What is left at the end of the stream, less than a sequence, is dropped.
    Source: Radford et al. 2018, section 4.1, which trains on contiguous sequences of 512 tokens.
    """
    return np.concatenate([*packed([documents], sequence_length, sep)])


def packed(
    batches: Iterable[TokenRows], sequence_length: int, sep: int, cls: int | None = None
) -> Iterator[np.ndarray]:
    """Yield, for each batch of documents, the sequences that it fills: those that all documents together give.

    With `cls` as `pack_stream` makes them, without as `pack_documents` does. A batch's last tokens that fill no
    sequence begin those of the next one.
    """
    width, rest = sequence_length - (0 if cls is None else 2), None
    for documents in batches:
        stream = np.insert(documents.ids, documents.offsets[1:], sep)
        if rest is not None:
            stream = np.concatenate([rest, stream])
        full = len(stream) // width * width
        body, rest = stream[:full].reshape(-1, width), stream[full:]
        yield body if cls is None else np.pad(body, ((0, 0), (1, 1)), constant_values=((0, 0), (cls, sep)))


@dataclass(frozen=True)
class SentencePairs:
    """N sequences [CLS] A [SEP] B [SEP] of one length: ids and token types (N, length), labels int64 (N,)."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray


def pack_pairs(documents: TokenRows, sequence_length: int, cls: int, sep: int, seed: int) -> SentencePairs:
    """Return pairs of segments for next-sentence prediction, exactly half of them (one more if odd) real.

    A document is cut into windows of `sequence_length - 3` tokens, its remainder is dropped. A window is cut into A
    and B anywhere in its middle half. In a real pair B is the rest of the window; in a random one it is as many
    tokens from the end of a window of another document, every such window being equally likely.
    Source: Devlin et al. 2019, section 3.1, task 2, with the pairs filled so that they need no padding.

    Raises ValueError where fewer than two documents fill a window, as no random segment could be drawn.
    """
    width = sequence_length - 3
    windows, owner = _windows(documents, width)
    if len(np.unique(owner)) < 2:
        raise ValueError(f"fewer than two documents have {width} tokens")
    generator = np.random.default_rng(seed)
    count = len(windows)
    cuts = generator.integers(width // 4, width - width // 4, size=count)
    labels = np.full(count, IS_NEXT, dtype=np.int64)
    labels[generator.permutation(count)[: count // 2]] = IS_RANDOM

    # windows stand document by document: skip over one's own to draw from all the others
    first, own = np.searchsorted(owner, owner), np.bincount(owner)[owner]
    donors = generator.integers(0, count - own)
    donors += (donors >= first) * own
    continuation = np.where((labels == IS_RANDOM)[:, None], windows[donors], windows)
    return _framed(windows, continuation, cuts, labels, cls, sep)


def _windows(documents: TokenRows, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every full window of every document, shape (N, width), and the document each is from."""
    per_document = documents.lengths // width
    owner = np.repeat(np.arange(len(documents)), per_document)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(per_document) - per_document, per_document)
    starts = documents.offsets[owner] + within * width
    return documents.ids[starts[:, None] + np.arange(width)], owner


def _framed(
    left: np.ndarray, right: np.ndarray, cuts: np.ndarray, labels: np.ndarray, cls: int, sep: int
) -> SentencePairs:
    """Join left[:cut] and right[cut:] of each row as [CLS] A [SEP] B [SEP]."""
    count, width = left.shape
    position = np.arange(width)
    sequences = np.empty((count, width + 3), dtype=left.dtype)
    sequences[:, 0], sequences[:, -1] = cls, sep
    sequences[:, 1:-2] = np.where(position < cuts[:, None], left, 0)
    in_second = position >= cuts[:, None]
    sequences[:, 2:-1] = np.where(in_second, right, sequences[:, 2:-1])
    sequences[np.arange(count), cuts + 1] = sep
    token_types = (np.arange(width + 3) > cuts[:, None] + 1).astype(np.uint8)
    return SentencePairs(sequences, token_types, labels)
