"""Questions and the texts that answer them as token rows: long texts window by window."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from pipeline.files import InputError
from pipeline.tokenization.encoding import BATCH_TEXTS, first_tokens
from pipeline.tokenization.ragged import TokenRows, smallest_dtype
from pipeline.tokenization.table import AnswerPlace
from pipeline.words import ENDS, STARTS, next_window, words, words_within

MIN_ROOM = 8  # tokens of the text that a question has to leave room for


class _Window(NamedTuple):
    """A token row: its text's number, its first word, its ids, where the text begins, the first tokens of its words."""

    owner: int
    word: int
    ids: list[int]
    second: int
    tokens: list[int]


def encode_questions(
    tokenizer: Tokenizer,
    texts: list[str],
    answers: Sequence[AnswerPlace],
    max_length: int,
    pairs: Sequence[str] = (),
    beside: Tokenizer | None = None,
) -> TokenRows:
    """Return [CLS] question [SEP] window [SEP] for each window of each text, of at most `max_length` tokens.

    pairs: the questions. Each window ends where the row is full and the next one begins in the middle of it
    (`pipeline.words.next_window`), until the text has been read. Targets are [CLS] and the first token of each word of
    the window; a label is the sum of STARTS where the answer starts and ENDS where it ends, both [CLS]'s where the
    window does not hold the whole answer. With `beside`, a window has only the words that this tokenizer has room for
    as well, so that either gives the same windows and targets.

    Raises InputError naming the row whose question leaves no room for its text.
    """
    both = [tokenizer] if beside in (None, tokenizer) else [tokenizer, beside]
    for reader in both:
        _check_room(reader, pairs, answers, max_length)
    for reader in both:
        reader.enable_truncation(max_length, strategy="only_second")
    windows = [
        window
        for start in range(0, len(texts), BATCH_TEXTS)
        for window in _windows(both, range(start, min(start + BATCH_TEXTS, len(texts))), texts, pairs)
    ]
    for reader in both:
        reader.no_truncation()
    ids = itertools.chain(*(window.ids for window in windows))
    labels = [_labels(window, words(texts[window.owner]), answers[window.owner]) for window in windows]
    positions = [position for window in windows for position in [0, *window.tokens]]
    return TokenRows(
        ids=np.array([*ids], dtype=smallest_dtype(tokenizer.get_vocab_size())),
        offsets=_ends([len(window.ids) for window in windows]),
        labels=np.array([*itertools.chain(*labels)], dtype=np.int64),
        targets=_ends([1 + len(window.tokens) for window in windows]),
        positions=np.array(positions, dtype=np.int64),
        seconds=np.array([window.second for window in windows], dtype=np.int64),
        owners=np.array([window.owner for window in windows], dtype=np.int64),
    )


def _windows(
    readers: Sequence[Tokenizer],
    rows: range,
    texts: Sequence[str],
    pairs: Sequence[str],
) -> list[_Window]:
    """Return the windows of some rows in order; the ids are the first reader's."""
    borders, todo = {row: words(texts[row]) for row in rows}, [(row, 0) for row in rows]
    found: list[_Window] = []
    while todo:
        begins = [_begin(borders[row], word) for row, word in todo]
        inputs = [(pairs[row], texts[row][begin:]) for (row, _), begin in zip(todo, begins, strict=True)]
        read = [reader.encode_batch(inputs) for reader in readers]
        further = []
        for (row, word), begin, *encodings in zip(todo, begins, *read, strict=True):
            left = [(start - begin, end - begin) for start, end in borders[row][word:]]
            tokens = [first_tokens(encoding, left, sequence=1) for encoding in encodings]
            count = min(map(len, tokens))
            second = sum(text != 1 for text in encodings[0].sequence_ids[:-1])
            found.append(_Window(row, word, encodings[0].ids, second, tokens[0][:count]))
            cut = count < len(left) and any(encoding.overflowing for encoding in encodings)
            if cut and (following := next_window(word, count)) < len(borders[row]):
                further.append((row, following))
        todo = further
    return sorted(found)


def _begin(borders: Sequence[tuple[int, int]], word: int) -> int:
    """Return the character that a window begins with: the space before its first word, where there is one."""
    if not borders:
        return 0
    return max(borders[word - 1][1] if word else 0, borders[word][0] - 1)


def _check_room(reader: Tokenizer, pairs: Sequence[str], answers: Sequence[AnswerPlace], max_length: int) -> None:
    framed = max_length - reader.num_special_tokens_to_add(is_pair=True)
    for start in range(0, len(pairs), BATCH_TEXTS):
        questions = reader.encode_batch_fast([*pairs[start : start + BATCH_TEXTS]], add_special_tokens=False)
        for answer, question in zip(answers[start:], questions, strict=False):
            if framed - len(question) < MIN_ROOM:
                raise InputError(
                    f"row {answer.id}: its question has {len(question)} tokens and leaves no room for the text, "
                    f"expected at most {framed - MIN_ROOM} where max_length is {max_length}"
                )


def _labels(window: _Window, borders: list[tuple[int, int]], answer: AnswerPlace) -> list[int]:
    labels = [0] * (1 + len(window.tokens))
    place = words_within(borders, answer.start, answer.end)
    first, last = (1 + word - window.word for word in place) if place else (0, 0)
    if first >= 1 and last < len(labels):
        labels[first] += STARTS
        labels[last] += ENDS
    else:
        labels[0] = STARTS + ENDS
    return labels


def _ends(counts: list[int]) -> np.ndarray:
    return np.cumsum([0, *counts], dtype=np.int64)
