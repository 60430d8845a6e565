"""What stands in the pages: their commands, and whole pages as scripts that a person would type.

Two forms. Fenced blocks, ```bash and ```python, are run from the top of a page to its end; a ```text block behind one
is its result. What stands indented or in a line of text is a command that some other test runs.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))
PROGRAMS = (
    r"(?:make|git|curl|iconv|sudo|pip|export|(?:\.venv/bin/)?(?:stillhouse|dvc|python|mlflow|prefect))(?=\s[\w\"'.-])"
)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d[\d,.]*")
MARK = "--- block "


class Block(NamedTuple):
    """A fenced block: `bash`, `python` or `text`, and what stands in it."""

    kind: str
    text: str


def fenced(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    return [Block(*found) for found in FENCED.findall(page.read_text(encoding="utf-8"))]


def is_run(page: Path) -> bool:
    """Return whether the page is one that is run from top to end."""
    return any(block.kind in ("bash", "python") for block in fenced(page))


def commands(page: Path) -> list[str]:
    """Return the commands of a page outside of its fenced blocks, without `.venv/bin/` and remarks."""
    text = FENCED.sub("", page.read_text(encoding="utf-8")).replace("\\\n", " ")
    lines = re.findall(rf"^ {{4}}({PROGRAMS}.+)$", text, flags=re.MULTILINE)
    inline = re.findall(rf"`({PROGRAMS}(?:[^`\n]|\n(?!\n))+)`", text)  # a line may end within one
    return [" ".join(command.split("  #")[0].split()).replace(".venv/bin/", "") for command in lines + inline]


def run(pages: list[Path], folder: Path, environment: dict[str, str]) -> list[tuple[Block, str]]:
    """Type what pages say, one after the other, in one shell that starts in `folder`.

    Returns each block with what it printed; fails with the last lines where a command does.
    """
    blocks = [block for page in pages for block in fenced(page) if block.kind in ("bash", "python")]
    lines = ["set -e"]
    for number, block in enumerate(blocks):
        snippet = f"python - <<'END OF SNIPPET'\n{block.text}END OF SNIPPET\n"
        lines += [f"echo '{MARK}{number}'", block.text if block.kind == "bash" else snippet]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=folder, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    printed = re.split(rf"^{MARK}\d+\n", done.stdout, flags=re.MULTILINE)[1:]
    return list(zip(blocks, printed, strict=True))


def shell_environment(folder: Path) -> dict[str, str]:
    """Return what a shell in `folder` has whose `.venv` is this environment: the project's own code comes first."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment | {"PYTHONPATH": str(folder), "PATH": path, "COLUMNS": "100", "GIT_PAGER": "cat"}


def expected(pages: list[Path]) -> list[tuple[Block, str]]:
    """Return each block that is run and the result that its page shows, empty where it shows none."""
    found: list[tuple[Block, str]] = []
    for page in pages:
        for block in fenced(page):
            if block.kind == "text":
                found[-1] = (found[-1][0], block.text)
            elif block.kind in ("bash", "python"):
                found.append((block, ""))
    return found


def has_form(printed: str, shown: str) -> bool:
    """Return whether what was printed has the lines that a page shows: the same words, any numbers, `…` for anything.

    A page may leave out lines at the beginning and at the end.
    """
    pieces = [re.escape(_form(piece)) for piece in shown.split("…")]
    return re.search(r"\s?.*?\s?".join(pieces), _form(printed), flags=re.DOTALL) is not None


def _form(text: str) -> str:
    return NUMBER.sub("0", " ".join(text.split()))
