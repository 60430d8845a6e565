"""Words that tell groups of people apart, and texts in which each gives its place to its counterpart.

Measuring and augmentation have lists of their own; what they share is how a word is exchanged.
"""

import functools
import re
from typing import NamedTuple, Self

# what follows a `her` or `his` that something belongs to: a word, but for these
_OWNED = re.compile(
    r"\s+(?!(?:a|about|again|all|and|are|as|at|be|because|before|but|by|can|could|did|do|does|down|for|from|had|has|he|her|"
    r"him|his|if|in|into|is|it|like|not|of|off|on|onto|or|out|over|she|so|than|that|the|then|there|they|this|through|to|"
    r"too|up|was|we|were|what|when|where|which|while|who|will|with|would|you)\b)[^\W\d_]",
    re.IGNORECASE,
)
# what stands behind `an`: the first letter tells, but for words that begin like European, unit, use and one
_AFTER_AN = re.compile(r"(?!eu|uni|use|one)[aeiou]", re.IGNORECASE)
ARTICLE = r"(?:(?<![\w-])(?P<article>an?)(?P<space>\s+))?"  # of a pattern: the one before a word, if there is one


class Group(NamedTuple):
    """A way to tell people apart, by the names of its two sides and pairs of words in lower case, one of each side.

    A word may have two counterparts: the first one listed stands before a word that may belong to it (his book, her
    book), the second one elsewhere (the book is his, is hers).
    """

    name: str
    sides: tuple[str, str]
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, sides: tuple[str, str], pairs: str) -> Self:
        """Return a group whose pairs are written as `father/mother, fathers/mothers`."""
        first_and_second = (pair.split("/") for pair in pairs.split(", "))
        return cls(name, sides, tuple((first, second) for first, second in first_and_second))


class Swap(NamedTuple):
    """A text with each term exchanged, and which way: 1 from the first side to the second, -1 back, 0 both."""

    text: str
    direction: int


def swap(text: str, group: Group) -> Swap | None:
    """Return `text` with every term of `group` exchanged for its counterpart, None where it holds none.

    Lower case, upper case and a capital at the beginning stay; so does the number, as plurals are listed beside
    singulars. `a` and `an` follow the new word. `her` is taken for `his` before a word, unless that is one that nothing
    owns, such as `to` or `and`, and for `him` everywhere else; `his` is `her` and `hers` by the same rule. A verb after
    `her` ("let her go") is thus mistaken for what she owns. Terms inside of words joined by hyphens stay.
    """
    pattern, counterparts = _compiled(group)
    found: set[int] = set()

    def exchanged(match: re.Match[str]) -> str:
        article, space, term = match["article"], match["space"], match["term"]
        side, options = counterparts[term.lower()]
        found.add(side)
        new = _in_case_of(term, options[0] if _OWNED.match(text, match.end()) else options[-1])
        return f"{article_before(article, new)}{space}{new}" if article else new

    swapped = pattern.sub(exchanged, text)
    return Swap(swapped, found.pop() if len(found) == 1 else 0) if found else None


def article_before(article: str, word: str) -> str:
    """Return `a` or `an`, whichever `word` needs behind it, with the capital that `article` has or lacks."""
    return article[0] + ("n" if _AFTER_AN.match(word) else "")


@functools.cache
def _compiled(group: Group) -> tuple[re.Pattern[str], dict[str, tuple[int, list[str]]]]:
    """Return what finds a term, with the article before it, and of each term its direction and its counterparts."""
    counterparts: dict[str, tuple[int, list[str]]] = {}
    for first, second in group.pairs:
        counterparts.setdefault(first, (1, []))[1].append(second)
        counterparts.setdefault(second, (-1, []))[1].append(first)
    longest_first = "|".join(map(re.escape, sorted(counterparts, key=lambda term: (-len(term), term))))
    return re.compile(rf"{ARTICLE}(?<![\w-])(?P<term>{longest_first})(?![\w-])", re.IGNORECASE), counterparts


def _in_case_of(old: str, new: str) -> str:
    if old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new
