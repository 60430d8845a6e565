"""Every command of the pages is run by a test: in fenced blocks by running the page, elsewhere by a named test."""

import ast
import itertools
import re
import shlex
from pathlib import Path

import pytest
from dvc.cli import parse_args
from typer.main import get_command

from pipeline.cli import app
from tests.documentation import pages
from tests.documentation.commands import TESTED, UNTESTED

ROOT = pages.ROOT
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
NAMED = {command: page for page in pages.PAGES for command in pages.commands(page)}
TABLE = [*(command for listed in TESTED.values() for command in listed), *UNTESTED]
IN_FENCES = [
    " ".join(line.split())
    for page in pages.PAGES
    for block in pages.fenced(page)
    if block.kind == "bash"
    for line in block.text.splitlines()
]


def stands_for(entry: str, command: str) -> bool:
    """Return whether an entry of the table is this command; a `…` at its end is any rest."""
    return command.startswith(entry[:-1].rstrip()) if entry.endswith("…") and entry not in NAMED else command == entry


@pytest.mark.parametrize("command", NAMED)
def test_a_command_of_a_page_is_in_the_table(command: str) -> None:
    where = NAMED[command].relative_to(ROOT)
    assert any(stands_for(entry, command) for entry in TABLE), f"{where}: `{command}`: name the test that runs it"


def test_the_table_has_no_command_that_no_page_says() -> None:
    assert [entry for entry in TABLE if not any(stands_for(entry, command) for command in NAMED)] == []


@pytest.mark.parametrize("test", TESTED)
def test_the_tests_of_the_table_exist(test: str) -> None:
    file, name = test.split("::")
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    assert name in [node.name for node in body if isinstance(node, ast.FunctionDef)]


def programs(command: str) -> list[list[str]]:
    """Return the words of each program that a line of shell starts."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    started: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;<>"):
            started.append([])
        else:
            started[-1].append(word)
    return started


@pytest.mark.parametrize("command", sorted({*NAMED, *IN_FENCES}))
def test_options_and_arguments_are_those_of_the_program(command: str) -> None:
    """A test may run a command with other values; its names are checked as they stand."""
    for words in programs(command):
        match words:
            case ["make", target, *_]:
                assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"))
            case ["stillhouse", name]:  # spoken of, without its arguments
                assert name in COMMANDS
            case ["stillhouse", name, *rest] if not name.startswith("-"):
                COMMANDS[name].make_context(name, rest)
            case ["dvc", _, _, *_]:
                parse_args(words[1:])


def test_results_are_shown_behind_what_prints_them() -> None:
    for page in filter(pages.is_run, pages.PAGES):
        kinds = [block.kind for block in pages.fenced(page)]
        assert set(kinds) <= {"bash", "python", "text"}, page
        assert all(before in ("bash", "python") for before, kind in itertools.pairwise(kinds) if kind == "text"), page


def test_every_page_is_in_the_index_and_links_lead_somewhere() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    reached = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#:]+)[)#]", index)}
    chapters = {page for page in pages.PAGES if page.parent.name == "tutorial"}
    assert {page for page in pages.PAGES if page.parent.parent == ROOT or "docs" in page.parts} - reached <= {
        *chapters,
        ROOT / "docs/README.md",
    }
    for page in pages.PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"


@pytest.mark.parametrize(
    ("printed", "shown", "alike"),
    [
        ("step 1 loss 0.70\nstep 2 loss 0.65\n", "step 9 loss 1.25\nstep 2 loss 0.1\n", True),
        ("a bar\nlabel positive 0.9\n", "label … 0.5\n", True),
        ("label positive\n", "label positive 0.5\n", False),
        ("one\ntwo\nthree\n", "one\n…\nthree\n", True),
        ("one\nthree\ntwo\n", "one\n…\ntwo\nthree\n", False),
    ],
)
def test_a_result_has_the_form_that_a_page_shows(printed: str, shown: str, alike: bool) -> None:
    assert pages.has_form(printed, shown) == alike


def test_a_new_command_of_a_page_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Type\n\n    .venv/bin/stillhouse paint --red  # now\n\nor `dvc brew` and `make` it.\n")
    assert pages.commands(page) == ["stillhouse paint --red", "dvc brew"]
    assert not any(stands_for(entry, "stillhouse paint --red") for entry in TABLE)
