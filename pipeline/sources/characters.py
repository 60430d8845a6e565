"""Texts as flat arrays of lower-cased characters, so that millions of them are compared without a loop in Python."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

BATCH_CHARACTERS = 1_000_000  # its temporary arrays are some 30 MB, and larger ones slower
_CODE_POINTS = 0x110000
_UNKNOWN = -1


class Characters(NamedTuple):
    """Code points of several texts behind each other: text i is codes[offsets[i]:offsets[i + 1]]."""

    codes: np.ndarray
    offsets: np.ndarray


def batches(lengths: np.ndarray, characters: int | None = None) -> Iterator[slice]:
    """Yield slices of neighbouring texts of about `characters` together (BATCH_CHARACTERS), at least one text each."""
    start, most = 0, characters or BATCH_CHARACTERS
    ends = np.cumsum(lengths)
    while start < len(lengths):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(start, stop)
        start = stop


def lower_cased(texts: Sequence[str]) -> Characters:
    """Return the code points (uint32) of the lower-cased texts."""
    lowered = [text.lower() for text in texts]
    codes = np.frombuffer("".join(lowered).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return Characters(codes, _offsets([len(text) for text in lowered]))


def letters(texts: Sequence[str]) -> Characters:
    """Return the lower-cased letters of the texts: no digits, spaces or punctuation."""
    parts = [letters_of(lower_cased(texts[batch])) for batch in batches(np.array([len(text) for text in texts]))]
    codes = [np.zeros(0, np.uint32), *(part.codes for part in parts)]
    lengths = [np.zeros(0, np.int64), *(np.diff(part.offsets) for part in parts)]
    return Characters(np.concatenate(codes), _offsets(np.concatenate(lengths)))


def letters_of(lowered: Characters) -> Characters:
    """Return the letters of lower-cased texts."""
    kept = np.flatnonzero(is_kind(lowered.codes, str.isalpha))
    return Characters(lowered.codes[kept], np.searchsorted(kept, lowered.offsets))


def is_kind(codes: np.ndarray, predicate: Callable[[str], bool]) -> np.ndarray:
    """Return for each code point whether `predicate` holds, asking once per distinct one."""
    return kinds(codes, predicate).view(bool)


def kinds(codes: np.ndarray, kind_of: Callable[[str], int]) -> np.ndarray:
    """Return what `kind_of` says of each code point, a number up to 127, asking once per distinct one; int8."""
    known = _known_kinds(kind_of)
    found = known[codes]
    unknown = np.flatnonzero(found == _UNKNOWN)
    for code in np.unique(codes[unknown]):
        known[code] = kind_of(chr(code))
    found[unknown] = known[codes[unknown]]
    return found


@functools.cache
def _known_kinds(kind_of: Callable[[str], int]) -> np.ndarray:
    return np.full(_CODE_POINTS, _UNKNOWN, dtype=np.int8)


def _offsets(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
