"""Texts that a model goes on with: every token of them predicted once, from those before it."""

from collections.abc import Iterator, Sequence

import numpy as np
from tokenizers import Tokenizer, processors

from pipeline.tokenization.encoding import BATCH_TEXTS
from pipeline.tokenization.ragged import TokenRows, smallest_dtype


def encode_continued(
    tokenizer: Tokenizer, texts: list[str], completions: Sequence[str | None], max_length: int, end: str
) -> TokenRows:
    """Return each text as windows of at most `max_length` tokens; a token's label is the id of the next one.

    A text is `[SEP] text [SEP]`, all of it predicted; where it has a completion it is `[SEP] text [SEP] completion
    [SEP]`, the completion and the last [SEP] alone being predicted, and as much of the text's beginning is left out as
    the completion needs room. `end` is [SEP]: what ends a document of the language model is what begins the next.
    A window begins with the token that the one before it ended with, so that none is left out and none predicted twice.
    """
    end_id, dtype = tokenizer.token_to_id(end), smallest_dtype(tokenizer.get_vocab_size())
    windows: list[np.ndarray] = []
    starts: list[int] = []  # the first token of each window that predicts the next one
    owners: list[int] = []
    for row, (text, completion) in enumerate(_encoded(tokenizer, texts, completions)):
        ids, first = [end_id, *text, end_id], 0
        if completion is not None:
            room = max(max_length - len(completion) - 3, 0)
            prompt = text[len(text) - room :] if len(text) > room else text
            ids, first = [end_id, *prompt, end_id, *completion, end_id], len(prompt) + 1
        for begin in range(0, len(ids) - 1, max_length - 1):
            window = np.array(ids[begin : begin + max_length], dtype=dtype)
            if first - begin < len(window) - 1:  # else all of it belongs to a prompt
                windows.append(window)
                starts.append(max(first - begin, 0))
                owners.append(row)
    return _rows(windows, starts, owners, dtype)


def _encoded(
    tokenizer: Tokenizer, texts: list[str], completions: Sequence[str | None]
) -> Iterator[tuple[list[int], list[int] | None]]:
    for begin in range(0, len(texts), BATCH_TEXTS):
        batch = slice(begin, begin + BATCH_TEXTS)
        written = [completion or "" for completion in completions[batch]]
        found, ends = (tokenizer.encode_batch_fast(part, add_special_tokens=False) for part in (texts[batch], written))
        for text, end, completion in zip(found, ends, completions[batch], strict=True):
            yield text.ids, None if completion is None else end.ids


def _rows(windows: list[np.ndarray], starts: list[int], owners: list[int], dtype: np.dtype) -> TokenRows:
    lengths = np.array([len(window) for window in windows], dtype=np.int64)
    predicting = [np.arange(start, len(window) - 1) for start, window in zip(starts, windows, strict=True)]
    nothing = np.zeros(0, dtype=np.int64)
    labels = [window[places + 1].astype(np.int64) for window, places in zip(windows, predicting, strict=True)]
    return TokenRows(
        ids=np.concatenate([np.zeros(0, dtype), *windows]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.concatenate([nothing, *labels]),
        targets=np.cumsum([0, *map(len, predicting)], dtype=np.int64),
        positions=np.concatenate([nothing, *predicting]),
        seconds=lengths,
        owners=np.array(owners, dtype=np.int64),
    )


def frame_prompts(tokenizer: Tokenizer, end: str, *, completed: bool) -> None:
    """Make `tokenizer` frame a text as `encode_continued` does up to where a model goes on: `[SEP] text`.

    Where texts have completions it is `[SEP] text [SEP]`.
    """
    template = f"{end} $A {end}" if completed else f"{end} $A"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(end, tokenizer.token_to_id(end))]
    )
