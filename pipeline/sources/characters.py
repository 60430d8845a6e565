"""Texts as flat arrays of lower-cased characters, so that millions of them are compared without a loop in Python."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

BATCH_CHARACTERS = 4_000_000  # keeps the temporary arrays of a batch within some 100 MB
_CODE_POINTS = 0x110000


class Characters(NamedTuple):
    """Code points of several texts behind each other: text i is codes[offsets[i]:offsets[i + 1]]."""

    codes: np.ndarray
    offsets: np.ndarray


def batches(lengths: np.ndarray) -> Iterator[slice]:
    """Yield slices of neighbouring texts of about BATCH_CHARACTERS together, at least one text each."""
    start = 0
    ends = np.cumsum(lengths)
    while start < len(lengths):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BATCH_CHARACTERS, side="right")))
        yield slice(start, stop)
        start = stop


def lower_cased(texts: Sequence[str]) -> Characters:
    """Return the code points (uint32) of the lower-cased texts."""
    lowered = [text.lower() for text in texts]
    codes = np.frombuffer("".join(lowered).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return Characters(codes, _offsets([len(text) for text in lowered]))


def letters(texts: Sequence[str]) -> Characters:
    """Return the lower-cased letters of the texts: no digits, spaces or punctuation."""
    parts, lengths = [], []
    for batch in batches(np.array([len(text) for text in texts])):
        codes, offsets = lower_cased(texts[batch])
        kept = is_kind(codes, str.isalpha)
        parts.append(codes[kept])
        lengths.append(np.diff(np.concatenate([[0], np.cumsum(kept)])[offsets]))
    if not parts:
        return Characters(np.zeros(0, np.uint32), np.zeros(1, np.int64))
    return Characters(np.concatenate(parts), _offsets(np.concatenate(lengths)))


def is_kind(codes: np.ndarray, predicate: Callable[[str], bool]) -> np.ndarray:
    """Return for each code point whether `predicate` holds, asking once per distinct one."""
    table = np.zeros(_CODE_POINTS, dtype=bool)
    table[codes] = True
    for code in np.flatnonzero(table):
        table[code] = predicate(chr(code))
    return table[codes]


def _offsets(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
