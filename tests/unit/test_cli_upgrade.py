"""`stillhouse upgrade`: a clone of one release, with rows and parameters of its own, takes in a later one."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.cli.upgrade import MERGE, upgrade_project
from pipeline.files import InputError
from pipeline.params import read_yaml

ROOT = Path(__file__).parents[2]
FILES = (
    *("params.yaml", "dvc.yaml", "prefect.yaml", "constraints.txt", "README.md", "CHANGELOG.md", ".gitignore"),
    *(".dvcignore", ".dvc/config", ".dvc/.gitignore", "data/held_out/none.jsonl", "recipes/two-tasks.yaml"),
)
OF_THE_FOLDER = {"PYTHONPATH": ""}  # a process whose code is that of the folder it starts in
WORDS = ["parcel", "late", "happy", "broken", "colour", "fits", "again"]
TEXTS = [" ".join(WORDS[(number // 7**place + place) % 7] for place in range(12)) for number in range(300)]
ROWS = "text,label\n" + "".join(f"{text} {number:x},{number % 2}\n" for number, text in enumerate(TEXTS))


def git(*arguments: str, folder: Path | None = None) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, message: str) -> None:
    git("add", "--all", folder=folder)
    git("commit", "--quiet", "--message", message, folder=folder)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def who_commits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "a person")
            patch.setenv(f"GIT_{role}_EMAIL", "person@example.org")
        yield


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with this project as release 1, and release 2 with a key more, a key less and a changed run."""
    folder = tmp_path_factory.mktemp("releases") / "stillhouse"
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "reports/sentiment").mkdir(parents=True)
    (folder / "reports/sentiment/evaluation.json").write_text('{"accuracy": 0.8}\n')
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n# of the default\n")
    git("init", "--quiet", "--initial-branch", "main", str(folder))
    commit(folder, "release 1")
    git("tag", "v1", folder=folder)

    for name in ("params.yaml", "recipes/two-tasks.yaml"):
        replace(folder / name, "    gate:\n", "    gate:\n      sightings: 3   # how often\n")
        text = (folder / name).read_text()
        (folder / name).write_text(re.sub(r" *calibration_bins: 10\n", "", text))
    replace(folder / "params.yaml", "seed: 17", "seed: 18")
    code = folder / "pipeline/params/evaluation.py"
    replace(code, '    rule: Literal["not_worse"', '    sightings: int\n    rule: Literal["not_worse"')
    text = code.read_text()
    code.write_text(re.sub(r"    calibration_bins: .+\n    \"\"\".+\n", "", text))
    replace(folder / "prefect.yaml", '"0 3 * * *"', '"0 4 * * *"')
    replace(folder / "README.md", "# stillhouse", "# stillhouse, the second")
    (folder / "reports/sentiment/evaluation.json").write_text('{"accuracy": 0.9}\n')
    (folder / "reports/sentiment/new.json").write_text("{}\n")
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n# of the default's second run\n")
    replace(folder / "CHANGELOG.md", "# Changelog\n", "# Changelog\n\n## 0.2.0\n\n- Sightings.\n")
    commit(folder, "release 2")
    git("tag", "v2", folder=folder)
    return folder


@pytest.fixture(scope="module")
def clone(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of release 1 that trains on rows of its own, all committed."""
    folder = tmp_path_factory.mktemp("clone") / "mine"
    git("clone", "--quiet", str(releases), str(folder))
    git("reset", "--quiet", "--hard", "v1", folder=folder)
    (folder.parent / "shop.csv").write_text(ROWS)
    command = ["use", "--data", "../shop.csv", "--text", "text", "--label", "label"]
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *command], cwd=folder, env={**os.environ, **OF_THE_FOLDER}, check=True
    )
    replace(folder / "params.yaml", "seed: 17\n", "seed: 4  # mine\n")
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n# of my run\n")
    (folder / "reports/shop").mkdir()
    (folder / "reports/shop/evaluation.json").write_text('{"accuracy": 0.7}\n')
    commit(folder, "my data")
    return folder


@pytest.fixture
def project(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone as the current folder."""
    folder = tmp_path / "mine"
    shutil.copytree(clone, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def state() -> tuple[str, str]:
    """Return where HEAD is and what differs from it."""
    return git("rev-parse", "HEAD"), git("status", "--porcelain")


def test_a_later_release_comes_in_and_what_is_the_users_stays(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, mine = git("rev-parse", "HEAD"), (project / "params.yaml").read_text()
    capsys.readouterr()
    assert upgrade_project("v2", None) == 0
    said = capsys.readouterr().out
    assert state()[1] == "" and git("rev-list", "--parents", "-1", "HEAD").split()[1:] == [
        before,
        git("rev-parse", "v2"),
    ]
    expected = re.sub(r" *calibration_bins: 10\n", "", mine)
    assert (project / "params.yaml").read_text() == expected.replace(
        "    gate:\n", "    gate:\n      sightings: 3   # how often\n"
    )
    assert "tasks.shop.gate.sightings: 3" in said and "tasks.shop.evaluate.calibration_bins: 10" in said
    assert "## 0.2.0\n- Sightings.\n" in said and "make setup" in said
    assert (project / "dvc.lock").read_text().endswith("# of my run\n")
    assert (project / "reports/sentiment/evaluation.json").read_text() == '{"accuracy": 0.8}\n'
    assert not (project / "reports/sentiment/new.json").exists() and (project / "data/raw/shop.csv").is_file()
    assert (project / "README.md").read_text().startswith("# stillhouse, the second")
    assert '"0 4 * * *"' in (project / "prefect.yaml").read_text() and not MERGE.exists()

    after = state()
    assert upgrade_project("v2", None) == 0
    assert capsys.readouterr().out == "already has v2\n" and state() == after
    asked = CliRunner().invoke(app, ["upgrade", "v2", "--json"])
    nothing = {"release": "v2", "added": {}, "removed": {}, "kept": [], "changelog": []}
    assert (json.loads(asked.stdout), asked.stderr) == (nothing, "already has v2\n")

    command = [sys.executable, "-m", "pipeline.cli", "run", "ingest@shop"]  # the release's code on the user's rows
    done = subprocess.run(command, env={**os.environ, **OF_THE_FOLDER}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((project / "data/ingested/shop").glob("*.parquet"))
    assert list(read_yaml(project / "dvc.lock")["stages"]) == ["ingest@shop"]


def test_a_project_that_ran_nothing_of_its_own_takes_the_release_as_it_is(
    releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    git("clone", "--quiet", str(releases), str(folder))
    git("reset", "--quiet", "--hard", "v1", folder=folder)
    monkeypatch.chdir(folder)
    assert upgrade_project("main", "origin") == 0  # the remote's branch, not the one of this name here
    assert git("diff", "HEAD", "v2") == ""


def test_the_users_schedule_stays_where_both_changed_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(project / "prefect.yaml", '"0 3 * * *"', '"30 1 * * *"')
    commit(project, "earlier")
    assert upgrade_project("v2", None) == 0
    assert '"30 1 * * *"' in (project / "prefect.yaml").read_text()
    assert "yours as before" in (said := capsys.readouterr().out) and "prefect.yaml" in said


def test_a_conflict_is_left_to_the_user_who_may_go_back_or_on(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project / "README.md", "# stillhouse", "# my shop")
    commit(project, "my readme")
    before = state()
    assert upgrade_project("v2", None) == 1
    said = capsys.readouterr().err
    assert said.startswith("stillhouse: both sides changed README.md: ") and "`git merge --abort`" in said
    assert "sightings: 3" in (project / "params.yaml").read_text()
    with pytest.raises(InputError, match="a merge is under way"):
        upgrade_project("v2", None)
    git("merge", "--abort")
    assert state() == before

    assert upgrade_project("v2", None) == 1
    git("checkout", "--ours", "README.md")
    commit(project, "solved")
    capsys.readouterr()
    assert upgrade_project("v2", None) == 0 and capsys.readouterr().out == "already has v2\n"


def test_parameters_that_the_release_refuses_are_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(
        project / "pipeline/params/evaluation.py",
        "class GateParams(Section):",
        "class GateParams(Section):\n    mine: int",
    )
    commit(project, "a key that I forgot")
    assert upgrade_project("v2", None) == 1
    assert "stillhouse: params.yaml: tasks.shop.gate.mine: missing key" in capsys.readouterr().err
    assert state()[1] == "" and upgrade_project("v2", None) == 0


@pytest.mark.parametrize("after", [0.0, 0.3])
def test_a_kill_leaves_the_project_as_it_was_and_the_next_start_goes_through(project: Path, after: float) -> None:
    before = state()
    command = [sys.executable, "-P", "-m", "pipeline.cli", "upgrade", "v2"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not MERGE.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        assert state() == before
        git("worktree", "list")
    assert upgrade_project("v2", None) == 0
    assert state()[1] == "" and not MERGE.exists() and len(git("worktree", "list").splitlines()) == 1


def test_what_cannot_be_upgraded_is_refused_in_one_line(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag, expected in (
        ("v9", r"v9: no such tag, branch or commit .* the last tags are .*v2"),
        ("--x", "no such tag"),
    ):
        with pytest.raises(InputError, match=expected):
            upgrade_project(tag, None)
    with pytest.raises(InputError, match="--from nowhere: "):
        upgrade_project("v2", "nowhere")
    replace(project / "params.yaml", "seed: 4", "seed: 5")
    with pytest.raises(InputError, match=r"params\.yaml: changed and not committed"):
        upgrade_project("v2", None)
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns(".git"))
    monkeypatch.chdir(copy)
    with pytest.raises(InputError, match="not a git clone"):
        upgrade_project("v2", None)
    git("init", "--quiet", "--initial-branch", "main")
    commit(copy, "a template of a hub")
    git("fetch", "--quiet", "--tags", str(project))
    with pytest.raises(InputError, match="no commit in common"):
        upgrade_project("v2", None)
