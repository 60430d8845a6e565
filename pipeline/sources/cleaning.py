"""Text as it was meant: markup, entities and encoding accidents undone, nothing else touched."""

import functools
import html
import re
import sys
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from pipeline.sources.tagged import Span

# elements of HTML only: `<sigh>` and `<3` are words of their writers
_MARKUP = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|body|br|center|cite|code|dd|del|div|dl|dt|em|font|h[1-6]|head|hr|html|i|img"
    r"|input|ins|li|link|meta|ol|p|pre|q|s|script|small|span|strike|strong|style|sub|sup|table|tbody|td|th|thead|title|tr"
    r"|tt|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_LINE_END = re.compile("\r\n?|\n")
_EMPTY_LINES = re.compile("\n{3,}")
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
_NUMBER = re.compile("&#0*([0-9]+)")
_BEYOND_UNICODE = "9999999"
_MOST_MARKS = 30  # the longest run in the Stream-Safe Text Format (Unicode Standard Annex 15, section 13)


def _character_table() -> dict[int, str | None]:
    # C1 controls in real text are Windows-1252 read as Latin-1; HTML decodes them that way too
    # (WHATWG HTML, numeric character reference end state)
    table: dict[int, str | None] = dict.fromkeys([*range(32), *range(127, 160)])
    table |= dict.fromkeys((9, 10, 11, 12, 13, 133), " ")
    for code in range(0x80, 0xA0):
        character = bytes([code]).decode("cp1252", errors="ignore")
        table[code] = character or None
    # soft hyphen, zero-width space, word joiner, byte order mark: invisible, and they split words for a tokenizer
    return table | dict.fromkeys((173, 8203, 8288, 65279))


_CHARACTERS = _character_table()
_SUSPECT = re.compile(f"[{re.escape(''.join(map(chr, _CHARACTERS)))}]")


def clean_text(text: str, *, keep_lines: bool = False) -> str:
    """Return `text` with entities unescaped, HTML elements as spaces, controls removed, NFC, single spaces.

    Where the lines are kept, each is cleaned by itself, and at most one empty line stands between two others.
    Takes time in proportion to the length, whatever the text: a megabyte of comments that never end, of digits in one
    entity or of accents on one letter is as quick as prose. Of such accents the first thirty stay.
    """
    if keep_lines:
        lines = "\n".join(map(clean_text, _LINE_END.split(text)))
        return _EMPTY_LINES.sub("\n\n", lines).strip("\n")
    if "&" in text:
        text = html.unescape(_NUMBER.sub(_of_few_digits, text))
    if "<" in text:
        # only before the last end of a comment: behind it each beginning would be searched for an end in vain
        ends = text.rfind("-->") + len("-->") if "-->" in text else 0
        text = _MARKUP.sub(" ", _COMMENT.sub(" ", text[:ends]) + text[ends:])
    if _SUSPECT.search(text):
        text = text.translate(_CHARACTERS)
    if not unicodedata.is_normalized("NFC", text):
        # normalising sorts a run of marks by insertion, in a time that grows with its square
        text = unicodedata.normalize("NFC", _long_run_of_marks().sub(r"\1", text))
    return " ".join(text.split())


def clean_spans(text: str, spans: Sequence[Span], *, keep_lines: bool = False) -> tuple[str, tuple[Span, ...]]:
    """Return `text` cleaned piece by piece, between the borders of `spans`, and the spans where they are now.

    `spans` are sorted and do not overlap. White space at a span's ends is not part of it, and one without text is left
    out.
    """
    parts: list[str] = []
    moved = []
    length, space = 0, ""  # of what is cleaned so far; what stands behind it
    borders = [0, *(border for span in spans for border in (span.start, span.end)), len(text)]
    for i, (start, end) in enumerate(pairwise(borders)):
        piece = clean_text(f"|{text[start:end]}|", keep_lines=keep_lines)[1:-1]  # the bars keep the space at its ends
        words = piece.strip()
        before, _, behind = piece.partition(words) if words else (piece, "", "")
        space += before
        if words:
            gap = _gap(space) if parts else ""
            parts += [gap, words]
            begin, length, space = length + len(gap), length + len(gap) + len(words), behind
            if i % 2:
                moved.append(Span(begin, length, spans[i // 2].label))
    return "".join(parts), tuple(moved)


def _gap(space: str) -> str:
    """Return what stays of the white space between two words: a space, a line break, or an empty line."""
    return "\n" * min(space.count("\n"), 2) or space[:1]


def _of_few_digits(reference: re.Match[str]) -> str:
    # html.unescape makes a number of the digits, for which Python takes 4,300 of them at most
    digits = reference[1]
    return f"&#{digits if len(digits) <= len(_BEYOND_UNICODE) else _BEYOND_UNICODE}"


@functools.cache
def _long_run_of_marks() -> re.Pattern[str]:
    marks = "".join(filter(unicodedata.combining, map(chr, range(sys.maxunicode + 1))))
    return re.compile(f"([{marks}]{{{_MOST_MARKS}}})[{marks}]+")
