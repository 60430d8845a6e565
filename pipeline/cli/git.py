"""Git as `stillhouse upgrade` asks it."""

import os
import subprocess
from pathlib import Path

from pipeline.files import InputError

HERE = Path()


def git(*arguments: str, folder: Path = HERE) -> str:
    """Return what a git command prints; raise InputError with its own words where it fails."""
    done = attempt(*arguments, folder=folder)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()).removeprefix("fatal: ").removeprefix("error: ")
        command = arguments[2 if arguments[0] == "-c" else 0]
        raise InputError(f"git {command}: {said}")
    return done.stdout


def succeeds(*arguments: str, folder: Path = HERE) -> bool:
    """Tell whether a git command ends with 0."""
    return attempt(*arguments, folder=folder).returncode == 0


def attempt(*arguments: str, folder: Path = HERE) -> subprocess.CompletedProcess[str]:
    """Run a git command in `folder`: nobody is asked for a password, and texts come back with their line ends."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    output, errors = (text.decode("utf-8", errors="replace") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, output, errors)


def names(command: str, *arguments: str, folder: Path = HERE) -> list[str]:
    """Return the paths that a git command lists; it is asked to end each with NUL."""
    return [name for name in git(command, "-z", *arguments, folder=folder).split("\0") if name]


def file_at(revision: str, path: str) -> str | None:
    """Return a file's text as it stands in a revision, None where it does not."""
    shown = attempt("show", f"{revision}:{path}")
    return None if shown.returncode else shown.stdout
