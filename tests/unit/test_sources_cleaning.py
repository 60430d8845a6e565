"""What cleaning undoes and what it leaves alone."""

import pytest

from pipeline.sources.cleaning import clean_text


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


@pytest.mark.parametrize("text", ["one<br />two", "Tom &amp; Jerry", "dash \x96"])
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)
