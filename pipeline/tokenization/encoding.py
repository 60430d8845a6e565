"""Text to token ids with `tokenizers`, a bounded piece of text at a time, on every thread the machine gives."""

from collections.abc import Iterable

import numpy as np
from tokenizers import Tokenizer

from pipeline.tokenization.ragged import UNLABELLED, TokenRows, smallest_dtype

BATCH_TEXTS = 1000


def encode_rows(tokenizer: Tokenizer, texts: list[str], labels: np.ndarray, max_length: int) -> TokenRows:
    """Return each text as [CLS] … [SEP], cut to `max_length` tokens; labels: int64, one a text."""
    batches = (texts[start : start + BATCH_TEXTS] for start in range(0, len(texts), BATCH_TEXTS))
    tokenizer.enable_truncation(max_length)
    ids, offsets = _encode(tokenizer, batches, special_tokens=True)
    tokenizer.no_truncation()
    return TokenRows(ids, offsets, labels)


def encode_documents(tokenizer: Tokenizer, batches: Iterable[list[str]]) -> TokenRows:
    """Return each text's ids, whole and without special tokens."""
    ids, offsets = _encode(tokenizer, batches, special_tokens=False)
    return TokenRows(ids, offsets, np.full(len(offsets) - 1, UNLABELLED, dtype=np.int64))


def _encode(
    tokenizer: Tokenizer, batches: Iterable[list[str]], *, special_tokens: bool
) -> tuple[np.ndarray, np.ndarray]:
    dtype = smallest_dtype(tokenizer.get_vocab_size())
    parts, lengths = [np.zeros(0, dtype)], [0]
    for batch in batches:
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=special_tokens):
            parts.append(np.array(encoding.ids, dtype=dtype))
            lengths.append(len(parts[-1]))
    return np.concatenate(parts), np.cumsum(lengths, dtype=np.int64)
