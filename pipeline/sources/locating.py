"""Where the file of a dataset lies: inside an installed package, or inside the project."""

import importlib.metadata
import os
from pathlib import Path

from pipeline.files import InputError, sha256_of_file
from pipeline.params import LocalSource, PackageSource


def locate(source: PackageSource | LocalSource, path: Path) -> Path:
    """Return the file to read: the package's own for a package source, else the project's `path`.

    Raises InputError for a package that is not installed, a file that is missing or lies elsewhere, a wrong sha256.
    """
    return _in_package(source) if isinstance(source, PackageSource) else _in_project(path)


def _in_package(source: PackageSource) -> Path:
    # the package is only looked up: importing it would run its code
    try:
        distribution = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"package {source.package}: not installed, expected it to bring {source.file}; pip install {source.package}"
        ) from None
    name = f"package {source.package} {distribution.version}, file {source.file}"
    if Path(source.file).is_absolute() or ".." in Path(source.file).parts:
        raise InputError(f"{name}: leaves the package, expected a path inside it")
    file = Path(str(distribution.locate_file(source.file)))
    if not file.is_file():
        raise InputError(f"{name}: no such file in the installed package")
    found = sha256_of_file(file)
    if found != source.sha256:
        raise InputError(f"{name}: sha256 is {found}, expected {source.sha256}")
    return file


def _in_project(path: Path) -> Path:
    # by name, not by target: DVC may keep the file as a link into a cache that lies anywhere
    if Path(os.path.relpath(path)).parts[:1] == ("..",):
        raise InputError(f"{path}: lies outside the project folder, expected a file under data/raw/")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected one file")
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the rows of a dataset (`dvc pull` fetches tracked ones)")
    return path
