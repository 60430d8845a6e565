"""The pages as a reader would follow them: typed from top to end in a project, what is printed of the form shown."""

import csv
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import read_yaml
from pipeline.smoke import at_smoke_scale
from tests.documentation import pages
from tests.trust.whole_project import checkout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TUTORIAL = [pages.ROOT / "docs/tutorial.md", *sorted(pages.ROOT.glob("docs/tutorial/*.md"))]
ON_A_PROJECT = sorted(page for page in pages.ROOT.glob("docs/how-to/*.md") if pages.is_run(page))


def clone(folder: Path) -> Path:
    """Make a clone with the edits, all committed, whose `.venv` is this environment."""
    checkout(pages.ROOT, folder)
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (folder / ".venv/.installed").touch()  # later than constraints.txt: make has nothing to install
    for name, value in (("user.name", "reader"), ("user.email", "reader@localhost")):
        subprocess.run(["git", "config", name, value], cwd=folder, check=True)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", "test"], cwd=folder, check=True)


def rewrite(params: Path, values: dict[str, Any]) -> None:
    with open(params, "w", encoding="utf-8") as file:
        YAML().dump(values, file)


def shell(folder: Path, line: str) -> str:
    """Type one line in a project and return what it printed."""
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=pages.shell_environment(folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def assert_as_shown(followed: list[Path], folder: Path) -> None:
    """Follow pages in a project; every result has the form that its page shows."""
    printed = pages.run(followed, folder, pages.shell_environment(folder))
    for (block, found), (_, shown) in zip(printed, pages.expected(followed), strict=True):
        assert pages.has_form(found, shown), f"{block.text}\n--- printed\n{found[-3000:]}\n--- shown\n{shown}"


def test_the_tutorial_from_its_top_to_its_end(tmp_path: Path) -> None:
    assert len(TUTORIAL) == 7
    assert_as_shown(TUTORIAL, clone(tmp_path / "project"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project at the smoke scale in which `make run` has run."""
    folder = clone(tmp_path_factory.mktemp("clone") / "project")
    rewrite(folder / "params.yaml", at_smoke_scale(read_yaml(folder / "params.yaml")))
    commit(folder)
    shell(folder, "make run")
    return folder


@pytest.mark.parametrize("page", ON_A_PROJECT, ids=lambda page: page.stem)
def test_a_page_that_works_on_a_project_of_ones_own(project: Path, page: Path) -> None:
    assert_as_shown([page], project)
    history = shell(project, "stillhouse history sentiment --json")
    assert history.count('"to"') == 2  # the first student, and the one that was kept: none by an experiment


def test_a_csv_of_ones_own(tmp_path: Path) -> None:
    folder = clone(tmp_path / "project")
    generator = random.Random(1)
    words = ["parcel", "late", "happy", "broken", "colour", "fits", "again", "never", "cheap", "solid", "warm", "thin"]
    with open(folder / "reviews.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["review", "sentiment"])
        for number in range(400):
            label = ("good", "bad")[number % 2]
            rows.writerow([f"{' '.join(generator.choices(words, k=9))} {label}", label])
    shell(folder, ".venv/bin/stillhouse use --data reviews.csv --text review --label sentiment")
    rewrite(folder / "params.yaml", at_smoke_scale(read_yaml(folder / "params.yaml")))
    assert "Registered: reviews version 1" in " ".join(shell(folder, "make run").split())
    answer = shell(folder, '.venv/bin/stillhouse predict "Arrived broken, twice."')
    assert answer.startswith('{"text": "Arrived broken, twice.", "label": ')
    assert "Registered: reviews version 1" in " ".join(shell(folder, ".venv/bin/stillhouse report").split())
    shell(folder, 'git add -A && git commit -m "My data"')
    assert "data/raw/reviews.csv.dvc" in shell(folder, "git ls-files data/raw")
