"""A copy of the project to work in beside it: which files it takes, and how they get there."""

import filecmp
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pipeline.drivers import STATE
from pipeline.files import InputError

QUICK, NEW_DATA = STATE / "quick", STATE / "refresh"


def known_files(*below: str) -> list[Path]:
    """Return the files of the current folder that git knows or would know, only those `below` some paths where given.

    Raises InputError where there is no git to tell code from results.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *below]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        raise InputError(f"{Path.cwd()}: not a git checkout, expected one to tell code from results")
    return [path for name in sorted(set(listed.stdout.split("\0"))) if (path := Path(name)).is_file()]


def files_in(path: Path) -> list[Path]:
    """Return the files of a folder, or the file that `path` is; raise InputError where it is neither."""
    if not path.exists():
        remedy = "`dvc pull` fetches it" if Path(f"{path}.dvc").exists() else "expected a file or folder of the project"
        raise InputError(f"{path}: no such file, {remedy}")
    return [member for member in path.rglob("*") if member.is_file()] if path.is_dir() else [path]


def copy_files(files: Iterable[Path], folder: Path) -> None:
    """Copy `files`, paths in the current folder, to the same places in `folder`, unless they are there already."""
    for file in files:
        copy = folder / file
        if not (copy.is_file() and filecmp.cmp(file, copy)):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
