"""Text as it was meant: markup, entities and encoding accidents undone, nothing else touched."""

import html
import re
import unicodedata

# elements of HTML only: `<sigh>` and `<3` are words of their writers
_MARKUP = re.compile(
    r"<!--.*?-->|</?(?:a|abbr|b|big|blockquote|body|br|center|cite|code|dd|del|div|dl|dt|em|font|h[1-6]|head|hr|html|i|img"
    r"|input|ins|li|link|meta|ol|p|pre|q|s|script|small|span|strike|strong|style|sub|sup|table|tbody|td|th|thead|title|tr"
    r"|tt|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE | re.DOTALL,
)


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


def clean_text(text: str) -> str:
    """Return `text` with entities unescaped, HTML elements as spaces, controls removed, NFC, single spaces."""
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _MARKUP.sub(" ", text)
    if _SUSPECT.search(text):
        text = text.translate(_CHARACTERS)
    return " ".join(unicodedata.normalize("NFC", text).split())
