"""Where the files of a dataset lie: inside an installed package, or inside the project."""

import importlib.metadata
import os
from pathlib import Path
from typing import NamedTuple

from pipeline.files import InputError, sha256_of_file
from pipeline.params import LocalSource, PackageSource


class SourceFile(NamedTuple):
    """A file to read: what errors call it, whether its rows are `dev` or `test` or to be split (`train`), its place."""

    name: str
    split: str
    path: Path


def locate(source: PackageSource | LocalSource, path: Path) -> list[SourceFile]:
    """Return the files to read: the package's own for a package source, else the project's, at the dataset's `path`.

    Raises InputError for a package that is not installed, a file that is missing or lies elsewhere, a wrong sha256.
    """
    if isinstance(source, PackageSource):
        files = source.files.items()
        return [SourceFile(name, "train", _in_package(source.package, name, sha256)) for name, sha256 in files]
    splits = _in_project(source, path).items()
    return [SourceFile(str(file), split, file) for split, files_of_split in splits for file in files_of_split]


def _in_package(package: str, path: str, sha256: str) -> Path:
    # the package is only looked up: importing it would run its code
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"package {package}: not installed, expected it to bring {path}; pip install {package}"
        ) from None
    name = f"package {package} {distribution.version}, file {path}"
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise InputError(f"{name}: leaves the package, expected a path inside it")
    file = Path(str(distribution.locate_file(path)))
    if not file.is_file():
        raise InputError(f"{name}: no such file in the installed package")
    found = sha256_of_file(file)
    if found != sha256:
        raise InputError(f"{name}: sha256 is {found}, expected {sha256}")
    return file


def _in_project(source: LocalSource, path: Path) -> dict[str, list[Path]]:
    # by name, not by target: DVC may keep the file as a link into a cache that lies anywhere
    if Path(os.path.relpath(path)).parts[:1] == ("..",):
        raise InputError(f"{path}: lies outside the project folder, expected a file under data/raw/")
    if source.files is None and path.is_dir():
        raise InputError(f"{path}: is a folder, expected one file")
    files = source.files_at(path)
    missing = [str(file) for of_split in files.values() for file in of_split if not file.is_file()]
    if missing:
        remedy = "`dvc pull` fetches tracked ones" + (f", others come from {source.origin}" if source.origin else "")
        raise InputError(f"{', '.join(missing)}: no such file, expected the rows of a dataset ({remedy})")
    return files
