"""Text to token ids with `tokenizers`, a bounded piece of text at a time, on every thread the machine gives."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from pipeline.engine import Engine, map_in_order
from pipeline.tokenization.ragged import UNLABELLED, TokenRows, smallest_dtype
from pipeline.words import words

BATCH_TEXTS = 1000


def encode_rows(
    tokenizer: Tokenizer, texts: list[str], labels: np.ndarray, max_length: int, pairs: list[str] | None = None
) -> TokenRows:
    """Return each text as [CLS] … [SEP], cut to `max_length` tokens; labels: one a text, as TokenRows has them.

    With `pairs`, one for each text, a row is [CLS] text [SEP] pair [SEP], and it is the longer of the two that is cut.
    """
    inputs = texts if pairs is None else list(zip(texts, pairs, strict=True))
    batches = (inputs[start : start + BATCH_TEXTS] for start in range(0, len(inputs), BATCH_TEXTS))
    tokenizer.enable_truncation(max_length)
    ids, offsets, seconds = _encode(tokenizer, batches, special_tokens=True)
    tokenizer.no_truncation()
    return TokenRows.one_label_each(ids, offsets, labels, seconds)


def encode_apart(
    tokenizer: Tokenizer, texts: list[str], scores: np.ndarray, max_length: int, pairs: Sequence[str] = ()
) -> TokenRows:
    """Return each text and its pair behind it, [CLS] text [SEP] [CLS] pair [SEP], each cut to `max_length` tokens.

    scores: one for each text, UNLABELLED where there is none.
    """
    first, second = (encode_rows(tokenizer, list(column), scores, max_length) for column in (texts, pairs))
    parts = [np.zeros(0, first.ids.dtype), *itertools.chain(*zip(first, second, strict=True))]
    offsets = np.concatenate([[0], np.cumsum(first.lengths + second.lengths)]).astype(np.int64)
    return TokenRows.one_label_each(np.concatenate(parts), offsets, scores, first.lengths)


def encode_sentences(
    tokenizer: Tokenizer, rows: Sequence[tuple[str, ...]], length: int, pad_token_id: int
) -> tuple[np.ndarray, int]:
    """Return rows of one or two texts as [CLS] … [SEP], cut and padded to `length`, and how many tokens they hold.

    Ids of the smallest dtype, (rows, texts, length).
    """
    shape = (len(rows), len(rows[0]) if rows else 1, length)
    ids, tokens = np.full(shape, pad_token_id, dtype=smallest_dtype(tokenizer.get_vocab_size())), 0
    tokenizer.enable_truncation(length)
    for start in range(0, len(rows), BATCH_TEXTS):
        for place, column in enumerate(zip(*rows[start : start + BATCH_TEXTS], strict=True)):
            for row, encoding in enumerate(tokenizer.encode_batch_fast(list(column)), start):
                ids[row, place, : len(encoding.ids)] = encoding.ids
                tokens += len(encoding.ids)
    tokenizer.no_truncation()
    return ids, tokens


def encode_documents(tokenizer: Tokenizer, batches: Iterable[list[str]]) -> TokenRows:
    """Return each text's ids, whole and without special tokens."""
    ids, offsets, _ = _encode(tokenizer, batches, special_tokens=False)
    return TokenRows.one_label_each(ids, offsets, np.full(len(offsets) - 1, UNLABELLED, dtype=np.int64))


def encode_by_batch(tokenizer: Tokenizer, batches: Iterable[list[str]], *, engine: Engine) -> Iterator[TokenRows]:
    """Yield what `encode_documents` returns, batch by batch: what has been used need not stay in memory."""
    return map_in_order(lambda batch: encode_documents(tokenizer, [batch]), batches, engine=engine)


def encode_words(tokenizer: Tokenizer, texts: list[str], labels: Sequence[Sequence[int]], max_length: int) -> TokenRows:
    """Return each text as [CLS] … [SEP], cut to `max_length` tokens, with a label for each word there is room for.

    labels: one for each word of each text, as `pipeline.words.words` finds them; a word's first token carries it.
    """
    tokenizer.enable_truncation(max_length)
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    for start in range(0, len(texts), BATCH_TEXTS):
        batch = texts[start : start + BATCH_TEXTS]
        for text, encoding in zip(batch, tokenizer.encode_batch(batch), strict=True):
            ids.append(encoding.ids)
            positions.append(first_tokens(encoding, words(text)))
    tokenizer.no_truncation()
    kept = [list(row[: len(places)]) for row, places in zip(labels, positions, strict=True)]
    plain = TokenRows.from_rows(ids, [UNLABELLED] * len(ids), smallest_dtype(tokenizer.get_vocab_size()))
    targets = np.cumsum([0] + [len(row) for row in kept], dtype=np.int64)
    flat_labels, flat_positions = (np.array([*itertools.chain(*rows)], dtype=np.int64) for rows in (kept, positions))
    return replace(plain, labels=flat_labels, targets=targets, positions=flat_positions)


def encode_written(
    tokenizer: Tokenizer, texts: list[str], targets: list[str], max_length: int, *, max_tokens: int
) -> TokenRows:
    """Return each text as [CLS] … [SEP], cut to `max_length` tokens, with the ids of what is to be written as labels.

    Those end with [SEP], unless they are cut to `max_tokens`; without targets, as in the transfer set, rows have none.
    Their positions are those of the decoder, from 0 on.
    """
    plain = encode_rows(tokenizer, texts, np.full(len(texts), UNLABELLED, dtype=np.int64), max_length)
    written: list[np.ndarray] = []
    for start in range(0, len(targets), BATCH_TEXTS):
        for encoding in tokenizer.encode_batch_fast(targets[start : start + BATCH_TEXTS]):
            written.append(np.array(encoding.ids[1 : max_tokens + 1], dtype=np.int64))  # without [CLS]
    lengths = [len(ids) for ids in written] if targets else [0] * len(texts)
    return replace(
        plain,
        labels=np.concatenate([*written, np.zeros(0, dtype=np.int64)]),
        targets=np.cumsum([0, *lengths], dtype=np.int64),
        positions=np.concatenate([*map(np.arange, lengths), np.zeros(0, dtype=np.int64)]).astype(np.int64),
    )


def first_tokens(encoding: Encoding, borders: list[tuple[int, int]], sequence: int = 0) -> list[int]:
    """Return the position of the token that holds the first character of each word, up to the end of the row.

    sequence: which of two texts the words are of. Where a tokenizer leaves a character out, the token before it stands
    for the word.
    """
    places = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    tokens = [(*place, token) for token, (place, text) in enumerate(places) if text == sequence and place[1] > place[0]]
    if not tokens:
        return []
    starts = np.array([start for start, _, _ in tokens])
    end = max(end for _, end, _ in tokens)
    whole = not encoding.overflowing
    holding = np.maximum(np.searchsorted(starts, [start for start, _ in borders], side="right") - 1, 0)
    first = np.searchsorted(starts, starts[holding])  # of several that split one character
    return [tokens[token][2] for token, (start, _) in zip(first.tolist(), borders, strict=True) if whole or start < end]


def _encode(
    tokenizer: Tokenizer, batches: Iterable[Sequence[Any]], *, special_tokens: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids, offsets and seconds as TokenRows has them."""
    dtype = smallest_dtype(tokenizer.get_vocab_size())
    parts, lengths, seconds = [np.zeros(0, dtype)], [0], []
    for batch in batches:
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=special_tokens):
            parts.append(np.array(encoding.ids, dtype=dtype))
            lengths.append(len(parts[-1]))
            second = encoding.n_sequences > 1 and encoding.sequence_ids.index(1)
            seconds.append(second or lengths[-1])
    return np.concatenate(parts), np.cumsum(lengths, dtype=np.int64), np.array(seconds, dtype=np.int64)
