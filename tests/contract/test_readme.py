"""What the README names exists: make targets, stillhouse commands, stages, files. The Chinese one says the same."""

import re
from pathlib import Path

from typer.main import get_command

from pipeline.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")
FIGURE = re.compile(r"\d[\d,.]*\d%?|\d%?")


def test_make_targets_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", README, flags=re.MULTILINE))
    table = set(re.findall(r"^\| `make ([a-z-]+)`", README, flags=re.MULTILINE))
    assert named <= targets
    assert table == targets


def test_stillhouse_commands_exist() -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"(?:`|bin/)stillhouse ([a-z]+)", README)) <= commands


def test_every_stage_of_dvc_yaml_is_in_the_picture() -> None:
    stages = re.findall(r"^  ([a-z_]+):$", (ROOT / "dvc.yaml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    picture = README.split("DVC decides")[0]
    assert [stage for stage in stages if stage not in picture] == []


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def shape(text: str) -> list[str]:
    """Return what a translation leaves as it is: depth of headings, commands and their answers, rows of tables."""
    blocks = [line.split("  #")[0].rstrip() for line in re.findall(r"^ {4}.+", text, flags=re.MULTILINE)]
    headings = re.findall(r"^#+ ", text, flags=re.MULTILINE)
    rows = [str(line.count("|")) for line in text.splitlines() if line.startswith("|")]
    return headings + blocks + rows


def test_both_have_the_same_headings_commands_and_tables() -> None:
    assert shape(CHINESE) == shape(README)


def test_both_name_the_same_code_and_files() -> None:
    for pattern in (r"`([^`\n]+)`", r"\]\(([^)#]+)\)"):
        found = [set(re.findall(pattern, text)) for text in (README, CHINESE)]
        assert found[0] ^ found[1] <= {"README.md", "README.zh.md"}, pattern


def test_tables_have_the_same_figures() -> None:
    cells = [[FIGURE.findall(line) for line in text.splitlines() if line.startswith("|")] for text in (README, CHINESE)]
    assert cells[0] == cells[1]
