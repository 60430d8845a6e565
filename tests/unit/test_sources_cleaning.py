"""What cleaning undoes and what it leaves alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.cleaning import clean_spans, clean_text
from pipeline.sources.tagged import Span


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("one<br /><br>two", "one two"),
        ('<p class="x">one</p>\n\t two', "one two"),
        ("<!-- a note -->kept", "kept"),
        ("&lt;br /&gt;Tom &amp; Jerry &#8217;s", "Tom & Jerry ’s"),
        ("I <3 it <sigh> a < b > c", "I <3 it <sigh> a < b > c"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("dash \x96 dots\x85 next", "dash – dots… next"),
        ("a\x00b\x08c\u200bd\ufeffe", "abcde"),
        ("  many \u00a0 spaces\u3000here ", "many spaces here"),
        ("<br />", ""),
        ("电影很好看!", "电影很好看!"),
    ],
)
def test_clean_text(raw: str, cleaned: str) -> None:
    assert clean_text(raw) == cleaned


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("one  two\n three\t", "one two\nthree"),
        ("a\r\nb\rc\n\nd\n \n<br/>\n\ne", "a\nb\nc\n\nd\n\ne"),
        ("\n\n a &amp; b &#10; c \n\n", "a & b c"),
        ("a\x0b\u2028b", "a b"),
        ("\n<br>\n", ""),
    ],
)
def test_lines_that_are_kept_are_cleaned_each_by_itself(raw: str, cleaned: str) -> None:
    assert clean_text(raw, keep_lines=True) == cleaned
    assert clean_text(cleaned, keep_lines=True) == cleaned
    assert clean_text(raw) == " ".join(cleaned.split())


@pytest.mark.parametrize(
    ("marked", "cleaned"),
    [
        ("one\n[ two\n]\nthree", "one\n[two]\n\nthree"),
        ("a [b\n\n\nc]\n\n d", "a [b\n\nc]\n\nd"),
        ("\n[a]\n[\n]\n[b] ", "[a]\n\n[b]"),
    ],
)
def test_spans_stay_on_their_words_where_lines_are_kept(marked: str, cleaned: str) -> None:
    text, spans = unmarked(cleaned)
    assert clean_spans(*unmarked(marked), keep_lines=True) == (text, tuple(spans))


@pytest.mark.parametrize("text", ["one<br />two", "Tom &amp; Jerry", "dash \x96"])
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@pytest.mark.parametrize(
    ("marked", "cleaned"),
    [
        ("see [ Ann   Lee] now", "see [Ann Lee] now"),
        ("<b>[Ann]</b>[Lee ]<br/>and [Tom&nbsp;&amp; Co]", "[Ann] [Lee] and [Tom & Co]"),
        ("a [\u200b] b[ &nbsp; ]c", "a b c"),
        ("Jos[e\u0301]!", "Jos[\u00e9]!"),
        ("  [one]  ", "[one]"),
        ("[one][two]", "[one][two]"),
        ('[x] <a href="y z">[link]</a>.', "[x] [link] ."),
        ("no span &lt;3", "no span <3"),
    ],
)
def test_spans_stay_on_their_words(marked: str, cleaned: str) -> None:
    text, spans = unmarked(marked)
    found, moved = clean_spans(text, spans)
    assert (found, moved) == (lambda expected: (expected[0], tuple(expected[1])))(unmarked(cleaned))


def unmarked(marked: str) -> tuple[str, list[Span]]:
    """Return the text without its brackets and what stood inside them."""
    text, spans, start = "", [], 0
    for sign in marked:
        if sign == "[":
            start = len(text)
        elif sign == "]":
            spans.append(Span(start, len(text), "x"))
        else:
            text += sign
    return text, spans


PIECES = st.lists(
    st.sampled_from(
        ["a", "B", " ", "\t", "\n", "\r", "&amp;", "<br>", "\u0301", "\u200b", "\x96", "&", ";", "<", "|", "漢"]
    )
)


@given(st.lists(PIECES.map("".join), min_size=1, max_size=9), st.booleans())
def test_spans_of_any_text_are_clean_pieces_of_the_clean_text(pieces: list[str], keep_lines: bool) -> None:
    text, spans = "".join(pieces), []
    for i in range(1, len(pieces), 2):
        start = len("".join(pieces[:i]))
        spans.append(Span(start, start + len(pieces[i]), str(i)))
    cleaned, moved = clean_spans(text, spans, keep_lines=keep_lines)
    assert re.fullmatch(r"(\S+( |\n\n?(?=\S)))*\S*", cleaned) and cleaned == cleaned.strip(), "single spaces"
    assert [(span.label, cleaned[span.start : span.end]) for span in moved] == [
        (str(i), piece) for i in range(1, len(pieces), 2) if (piece := clean_text(pieces[i], keep_lines=keep_lines))
    ]
    borders = [border for span in moved for border in (span.start, span.end)]
    assert borders == sorted(borders), "in their order, none inside another"
    assert clean_spans(text, [], keep_lines=keep_lines) == (clean_text(text, keep_lines=keep_lines), ())
