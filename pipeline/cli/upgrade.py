"""`stillhouse upgrade TAG`: a later release merged into a project of one's own, which keeps its data, lock, parameters.

The merge is made in a checkout of its own under .stillhouse/ and reaches the project as one fast-forward, so that a
kill leaves the project as it was. Only where git finds conflicts for people to solve is it made in the project itself.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cli.answers import answer, fail
from pipeline.cli.git import HERE, attempt, file_at, git, names, succeeds
from pipeline.cli.new_keys import TakenOver, take_over
from pipeline.cli.preflight import check_project
from pipeline.drivers import STATE, environment
from pipeline.files import InputError, write_text
from pipeline.locks import run_lock
from pipeline.params import read_yaml

PARAMS, CHANGELOG = "params.yaml", "CHANGELOG.md"
OF_THE_USER = ("dvc.lock", "reports", "data/raw")  # what runs of the project's own data wrote, and these data
MERGE = STATE / "upgrade"
NO_HOOKS = ("-c", "core.hooksPath=/dev/null")  # DVC's own would check its data out, a linter refuse the release's code
CHECK = """
import sys
from pathlib import Path
from pipeline.files import InputError
from pipeline.params import load_params
try:
    load_params(Path("params.yaml"))
except InputError as error:
    print(error)
    sys.exit(2)
"""


@dataclass(frozen=True)
class Release:
    """What is to be merged: its name, its commit, and the last commit that it shares with the project."""

    name: str
    commit: str
    base: str


@dataclass
class Outcome:
    """What an upgrade did: files that stay the user's, keys that came and went, what people have to do themselves."""

    release: Release
    keys: TakenOver | None = None  # None where the release's own params.yaml came, as the user had not changed it
    kept: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    wrong: str | None = None  # what the release's code finds wrong in params.yaml

    def news(self) -> list[str]:
        """Return the lines that the release added to the changelog."""
        changed = git("diff", "--unified=0", self.release.base, self.release.commit, "--", CHANGELOG)
        lines = [line[1:] for line in changed.splitlines() if line.startswith("+") and not line.startswith("+++")]
        return [line for line in lines if line.strip()]


def upgrade_project(tag: str, remote: str | None) -> int:
    """Merge the release `tag` (a tag, branch or commit; of `remote`, else of origin), and say what that changed.

    Returns 0, or 1 where conflicts or a params.yaml that the release refuses are left to the user. Raises InputError
    outside of a clone, for changes that are not committed, for a release that git does not know.
    """
    _check_clone()
    with run_lock("stillhouse upgrade", lambda line: print(line, file=sys.stderr)):
        _check_committed()
        release = _find(tag, remote)
        if succeeds("merge-base", "--is-ancestor", release.commit, "HEAD"):
            print(f"already has {tag}")
            answer({"release": tag, "added": {}, "removed": {}, "kept": [], "changelog": []})
            return 0
        with _checkout_of_its_own() as folder:
            outcome = _merge(release, folder)
            if not outcome.conflicts:
                outcome.wrong = _problem(folder)
                git(*NO_HOOKS, "commit", "--quiet", "-m", f"Upgrade to {tag}", folder=folder)
                git("merge", "--quiet", "--ff-only", git("rev-parse", "HEAD", folder=folder).strip())
        if outcome.conflicts:
            outcome = _merge(release, HERE)
    return _report(outcome)


def _check_clone() -> None:
    check_project()
    inside = attempt("rev-parse", "--show-toplevel")
    if inside.returncode or Path(inside.stdout.strip()).resolve() != Path.cwd().resolve():
        raise InputError(f"{Path.cwd()}: not a git clone of its own, expected one to merge a release into")
    if not succeeds("var", "GIT_COMMITTER_IDENT"):
        raise InputError("git: does not know who commits, expected `git config user.name` and `user.email`")


def _check_committed() -> None:
    if succeeds("rev-parse", "--quiet", "--verify", "MERGE_HEAD"):
        raise InputError("a merge is under way, expected none: `git commit` ends it, `git merge --abort` goes back")
    changed = names("diff", "HEAD", "--name-only")
    if changed:
        raise InputError(f"{', '.join(changed)}: changed and not committed, expected `git commit` before an upgrade")
    read_yaml(Path(PARAMS))


def _find(tag: str, remote: str | None) -> Release:
    """Fetch what the remote has, and return the release that is called `tag` there or here."""
    known = git("remote").split()
    source = remote or ("origin" if "origin" in known else None)
    if source is not None:
        fetched = attempt("fetch", "--quiet", "--tags", "--", source)
        if fetched.returncode and remote is not None:
            raise InputError(f"--from {remote}: {' '.join(fetched.stderr.split())}")
        if fetched.returncode:
            print(f"{source}: could not be asked for news, going on with what is here", file=sys.stderr)
    places = [f"refs/tags/{tag}", f"refs/remotes/{source}/{tag}", tag]
    found = [attempt("rev-parse", "--quiet", "--verify", f"{place}^{{commit}}").stdout.strip() for place in places]
    commit = next(filter(None, found), None)
    if commit is None:
        tags = ", ".join(git("tag", "--sort=-creatordate").split()[:5]) or "none"
        raise InputError(
            f"{tag}: no such tag, branch or commit here or at {source}; expected one, the last tags are {tags}"
        )
    base = attempt("merge-base", "HEAD", commit).stdout.strip()
    if not base:
        raise InputError(
            f"{tag}: has no commit in common with this project, expected a release of what it was cloned from"
        )
    return Release(tag, commit, base)


@contextlib.contextmanager
def _checkout_of_its_own() -> Iterator[Path]:
    """Yield a second checkout of HEAD, gone afterwards; what a process that was killed left of one goes first."""
    _remove_checkout()
    force = ("--force", "--force")  # git calls a checkout that was killed while it was made locked
    git(*NO_HOOKS, "worktree", "add", "--quiet", *force, "--detach", str(MERGE), "HEAD")
    try:
        yield MERGE
    finally:
        _remove_checkout()


def _remove_checkout() -> None:
    shutil.rmtree(MERGE, ignore_errors=True)
    git("worktree", "prune")


def _merge(release: Release, folder: Path) -> Outcome:
    """Merge in `folder`, stage what is the user's as it was and params.yaml with its new keys; commit nothing."""
    outcome = Outcome(release)
    started = attempt(*NO_HOOKS, "merge", "--no-commit", "--no-ff", release.commit, folder=folder)
    if not succeeds("rev-parse", "--quiet", "--verify", "MERGE_HEAD", folder=folder):
        raise InputError(f"git merge: {' '.join((started.stderr or started.stdout).split())}")
    own = names("diff", "--name-only", release.base, "HEAD", "--", PARAMS, *OF_THE_USER, folder=folder)
    if own:  # else there was no run of the user's own, and the release's lock fits the release's parameters
        outcome.kept = names("diff", "--name-only", release.base, release.commit, "--", *OF_THE_USER, folder=folder)
        _restore(outcome.kept, folder)
        mine = file_at("HEAD", PARAMS) or ""
        outcome.keys = take_over(mine, _written(release.base), _written(release.commit))
        write_text(folder / PARAMS, outcome.keys.text)
        git("add", PARAMS, folder=folder)
    conflicts = names("diff", "--name-only", "--diff-filter=U", folder=folder)
    if "prefect.yaml" in conflicts:
        _restore(["prefect.yaml"], folder)
        conflicts.remove("prefect.yaml")
        outcome.kept.append("prefect.yaml")
    outcome.conflicts = conflicts
    return outcome


def _restore(paths: list[str], folder: Path) -> None:
    """Put files back as HEAD has them; those that it has not are gone."""
    known = {*names("ls-files", folder=folder), *names("ls-tree", "-r", "--name-only", "HEAD", folder=folder)}
    paths = [path for path in paths if path in known]
    if paths:
        git("restore", "--source=HEAD", "--staged", "--worktree", "--", *paths, folder=folder)


def _written(revision: str) -> list[str]:
    """Return every params.yaml that a release comes with, the default first."""
    recipes = [name for name in names("ls-tree", "--name-only", revision, "recipes/") if name.endswith(".yaml")]
    return [text for name in (PARAMS, *recipes) if (text := file_at(revision, name))]


def _problem(folder: Path) -> str | None:
    """Return what the merged code finds wrong in the merged params.yaml; a process asks it, as here is the old code."""
    command = [sys.executable, "-c", CHECK]  # which looks for modules in its folder first
    env = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    asked = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 2 else None  # else it needs packages that come with `make setup`


def _report(outcome: Outcome) -> int:
    """Say what changed and what is left to do; return the exit code."""
    name, keys, kept = outcome.release.name, outcome.keys, _by_folder(outcome.kept)
    found: dict[str, Any] = {"release": name, "added": {}, "removed": {}, "kept": kept, "changelog": []}
    if keys is not None:
        _print_keys("new in params.yaml", keys.added)
        _print_keys("no longer known, removed from params.yaml", keys.removed)
        found.update(added=keys.added, removed=keys.removed)
    if kept:
        print(f"yours as before: {', '.join(kept)}; `git diff HEAD {name}` shows the release's")
    if outcome.conflicts:
        files = ", ".join(outcome.conflicts)
        line = f"both sides changed {files}: put each right, `git add` it, `git commit`; `git merge --abort` goes back"
        fail(line, **found, conflicts=outcome.conflicts)
        return 1
    found["changelog"] = outcome.news()
    if found["changelog"]:
        print("\n".join([f"{CHANGELOG}:", *found["changelog"]]))
    print(f"now has {name}; next: `make setup`, then `make run`")
    if outcome.wrong:
        fail(f"{outcome.wrong}; docs/parameters.md has every key of {name}", **found)
        return 1
    answer(found)
    return 0


def _print_keys(heading: str, keys: dict[str, Any]) -> None:
    if keys:
        print("\n".join([f"{heading}:", *(f"  {key}: {json.dumps(value)}" for key, value in keys.items())]))


def _by_folder(paths: list[str]) -> list[str]:
    """Return paths, those in a folder as that folder."""
    return list(dict.fromkeys(f"{Path(path).parent}/" if "/" in path else path for path in paths))
