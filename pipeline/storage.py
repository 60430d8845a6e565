"""A folder that all machines reach: `s3://bucket/folder`, or `file:///folder` where each has it mounted."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipeline.files import InputError

_CHUNK = 2**20


class Storage:
    """Files below `url`. Who may use it, and where an S3 answers, say the environment's `AWS_` variables.

    key: of params.yaml or an option of the command line, where `url` stands; errors name it.
    """

    def __init__(self, url: str, key: str) -> None:
        from pyarrow import fs

        self.url, self.key = url, key
        with self._naming(url):
            self.filesystem, self.folder = fs.FileSystem.from_uri(url)

    def place(self, name: str) -> str:
        """Return what errors call a file."""
        return f"{self.url}/{name}"

    def send(self, name: str, content: BinaryIO) -> None:
        """Write a file from where `content` stands to its end, piece by piece, in place of one that stands there."""
        from pyarrow import fs

        place = PurePosixPath(self.folder, name)
        with self._naming(self.place(name)):
            if isinstance(self.filesystem, fs.LocalFileSystem):  # an S3 has no folders
                self.filesystem.create_dir(str(place.parent))
            with self.filesystem.open_output_stream(str(place), compression=None) as file:
                shutil.copyfileobj(content, file, _CHUNK)

    def fetch(self, name: str, target: Path, sha256: str) -> None:
        """Write the bytes of a file to `target`; raise InputError where they are not there or their hash is another."""
        place, found, size = self.place(name), hashlib.sha256(), 0
        with self._naming(place):
            source = self.filesystem.open_input_stream(f"{self.folder}/{name}", compression=None)  # as it is
        with source, open(target, "wb") as file:
            while chunk := self._read(source, place):
                found.update(chunk)
                size += file.write(chunk)
        if found.hexdigest() != sha256:
            raise InputError(f"{place}: {size:,} bytes with sha256 {found.hexdigest()}, expected {sha256}")

    def _read(self, source: object, place: str) -> bytes:
        with self._naming(place):  # and not what a full disk says while they are written
            chunk: bytes = source.read(_CHUNK)  # type: ignore[attr-defined]
        return chunk

    @contextlib.contextmanager
    def _naming(self, place: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise InputError(f"{place}: no such file, expected it on the storage ({self.key})") from None
        except OSError as error:
            raise InputError(f"{place}: {error}, expected a storage that answers ({self.key})") from None
