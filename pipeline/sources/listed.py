"""Files of a shared storage by the list that `sha256sum` writes: fetched one after the other, each gone again when it
was read, so that the disk holds one of them at a time."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipeline.files import InputError
from pipeline.params import StorageSource
from pipeline.sources.locating import SourceFile
from pipeline.sources.text_files import read_text
from pipeline.storage import Storage

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def fetched(source: StorageSource, path: Path, scratch: Path) -> Iterator[SourceFile]:
    """Yield the files that the list at `path` names, in its order; each lies in `scratch` until the next is asked for.

    Raises InputError naming the list's line that is wrong, or the file that is missing or another than is listed.
    """
    storage = Storage(source.url, "source.url")
    for number, (name, sha256) in enumerate(read_list(path).items()):
        file = scratch / f"{number}-{PurePosixPath(name).name}"  # the suffix says whether it is gzipped
        storage.fetch(name, file, sha256)
        yield SourceFile(storage.place(name), "train", file)
        file.unlink()


def read_list(path: Path) -> dict[str, str]:
    """Return the sha256 of each file by its name; raise InputError naming the line that is none of a list."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the list of a dataset's files, as sha256sum writes it")
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        matched = _LINE.fullmatch(line)
        if matched is None:
            raise InputError(f"{path}: line {number}: {line!r}, expected 64 digits, two spaces and a file's name")
        sha256, name = matched.groups()
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InputError(f"{path}: line {number}: {name} leaves the folder, expected a path inside it")
        if name in found:
            raise InputError(f"{path}: line {number}: {name} stands there twice, expected it once")
        found[name] = sha256
    return found
