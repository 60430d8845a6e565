"""The page on errors quotes what the code says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^ {4}(.+)$", PAGE, flags=re.MULTILINE)


def said() -> set[str]:
    """Return every text of the code without its docstrings, what varies in it as `…`."""
    texts = set()
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.add("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return texts


@pytest.fixture(scope="module")
def texts() -> set[str]:
    return said()


@pytest.mark.parametrize("quoted", QUOTED)
def test_an_error_on_the_page_is_one_of_the_code(quoted: str, texts: set[str]) -> None:
    pattern = re.compile(".*?".join(map(re.escape, quoted.split("…"))), flags=re.DOTALL)
    assert any(pattern.search(text) for text in texts), quoted


def test_the_page_quotes_some() -> None:
    assert len(QUOTED) > 20
