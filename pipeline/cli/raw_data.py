"""The files under data/raw/ that parameters name: which of them are there, and how others get there."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers import dvc, environment
from pipeline.files import InputError, replacing
from pipeline.params import LocalSource, Params


@dataclass(frozen=True)
class RawData:
    """What datasets read from one path of the project: a file, or files of a folder."""

    path: Path
    files: list[Path]
    origin: str | None

    @property
    def is_folder(self) -> bool:
        """Whether the path is a folder that holds the files."""
        return self.files != [self.path]

    def missing(self) -> list[Path]:
        """Return the files that are not in the project."""
        return [file for file in self.files if not file.is_file()]


def raw_data(params: Params) -> list[RawData]:
    """Return what each path holds that a dataset of kind `file` reads."""
    found: dict[Path, RawData] = {}
    for dataset in params.datasets.values():
        if isinstance(dataset.source, LocalSource):
            path = Path(dataset.path)
            before = found.get(path, RawData(path, [], None))
            files = [file for of_split in dataset.source.files_at(path).values() for file in of_split]
            found[path] = RawData(path, sorted({*before.files, *files}), dataset.source.origin or before.origin)
    return list(found.values())


def find_files(wanted: list[RawData], data: Path) -> dict[Path, Path]:
    """Return for each wanted file of the project the one that `data`, a file or a folder, has for it.

    A folder holds the files of all paths under their own names. Raises InputError naming all that is missing and where
    it comes from.
    """
    targets = [file for item in wanted for file in item.files]
    if not targets:
        raise InputError(f"--data {data}: expected none, as the recipe reads no file of data/raw/")
    if data.is_file():
        (target, *others) = targets
        if others:
            raise InputError(f"--data {data}: one file, expected a folder with {_names(targets)}")
        if (data.suffix == ".gz") != (target.suffix == ".gz"):
            raise InputError(f"--data {data}: expected a file that is gzipped only if {target} is")
        return {target: data}
    found: dict[Path, Path] = {}
    for item in wanted:
        home = item.path if item.is_folder else item.path.parent
        found |= {file: data / file.relative_to(home) for file in item.files}
    missing = [
        f"{_names(lacking)} of {item.path}" + (f", from {item.origin}" if item.origin else "")
        for item in wanted
        if (lacking := [found[file] for file in item.files if not found[file].is_file()])
    ]
    if missing:
        raise InputError(f"--data {data}: expected to hold {'; '.join(missing)}")
    return found


def _names(files: list[Path]) -> str:
    return ", ".join(file.name for file in files)


def bring(files: Mapping[Path, Path]) -> None:
    """Copy files into the project: the values to where the keys say."""
    for target, file in files.items():
        if not (target.exists() and target.samefile(file)):
            with replacing(target) as draft:
                shutil.copyfile(file, draft)


def track(path: Path) -> None:
    """Let DVC track a file or folder; raise InputError where it cannot."""
    added = subprocess.run(dvc("add", "--quiet", str(path)), env=environment(), capture_output=True, text=True)
    if added.returncode:
        raise InputError(f"{path}: dvc add: {' '.join((added.stderr or added.stdout).split())}")


def what_to_get(item: RawData, recipe: Path) -> str:
    """Return one line on files that are not in the project: which, where from, and how they get there."""
    if Path(f"{item.path}.dvc").is_file():
        return f"{item.path}: `dvc pull` fetches it"
    origin = f" from {item.origin}" if item.origin else ""
    return f"{item.path}: get {_names(item.missing())}{origin}, then `stillhouse use {recipe} --data FOLDER`"
