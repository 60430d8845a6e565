"""What a word is where single words are labelled: its borders in a text, its tags, and the spans that tags spell.

And where answers to questions stand among words, read a window at a time where the text is long.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

OUTSIDE = "O"
# accents and invisible joiners belong to the sign before them
_MARKS = "".join(sign for sign in map(chr, range(2**16)) if unicodedata.category(sign) in ("Mn", "Mc", "Me", "Cf"))
ALONE = r"\u3040-\u3098\u309b-\u30ff\u3400-\u9fff"  # scripts that are written without spaces
# one character of such a script, a run of letters and digits, or one other visible sign
_WORD = re.compile(rf"[{ALONE}][{_MARKS}]*|(?:[^\W{ALONE}]|[{_MARKS}])+|[^\w\s][{_MARKS}]*")

Span = tuple[int, int, str]  # where it starts and ends, and its label

STARTS, ENDS = 1, 2  # what a word's label is the sum of, where answers to questions are labelled
MAX_ANSWER_WORDS = 30  # of an answer that a model gives: beyond, it has taken two places for one


def words(text: str) -> list[tuple[int, int]]:
    """Return where each word of `text` starts and ends, in characters."""
    return [match.span() for match in _WORD.finditer(text)]


def tag_names(labels: Sequence[str]) -> list[str]:
    """Return the tags of the IOB2 scheme for spans of these labels: O, then B-label and I-label of each.

    Source: Tjong Kim Sang & Veenstra 1999, "Representing Text Chunks".
    """
    return [OUTSIDE] + [f"{part}-{label}" for label in labels for part in "BI"]


def tags_of(borders: Sequence[tuple[int, int]], spans: Iterable[Span], labels: Sequence[str]) -> list[int]:
    """Return each word's index into `tag_names(labels)`; a word belongs to the span that its first character is in.

    `borders` are those that `words` returned, `spans` do not overlap. Raises KeyError for a label that is none of
    `labels`.
    """
    begins = {label: 1 + 2 * index for index, label in enumerate(labels)}
    tags = [0] * len(borders)
    for start, end, label in spans:
        inside = [word for word, (first, _) in enumerate(borders) if start <= first < end]
        for word in inside:
            tags[word] = begins[label] + (word > inside[0])
    return tags


def spans_of(borders: Sequence[tuple[int, int]], tags: Iterable[int], labels: Sequence[str]) -> list[Span]:
    """Return the spans that the words' tags spell, strictly: an I-label counts only after a word of the same span.

    Words beyond the last tag have none.
    """
    spans: list[Span] = []
    open_label = None
    for (start, end), tag in zip(borders, tags, strict=False):
        label = labels[(tag - 1) // 2] if tag else None
        if label is not None and tag % 2:
            spans.append((start, end, label))
            open_label = label
        elif label is not None and label == open_label:
            spans[-1] = (spans[-1][0], end, label)
        else:
            open_label = None
    return spans


def words_within(borders: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """Return the first and the last word that have characters in `start` to `end`, None where no word has any."""
    inside = [word for word, (first, last) in enumerate(borders) if first < end and start < last]
    return (inside[0], inside[-1]) if inside else None


def next_window(first: int, count: int) -> int:
    """Return the first word of the window after that of `count` words from `first` on: half of it is read again.

    So an answer no longer than half a window stands whole in one of them.
    """
    return first + max(count // 2, 1)
