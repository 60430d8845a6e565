"""Text files: checked from end to end, then opened to be read line by line, so that none is in memory whole."""

import codecs
import contextlib
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO, cast

from pipeline.files import InputError
from pipeline.sources.well_formed import MAX_BYTES, MAX_LINES, check_limit

_CHUNK = 2**20


class _Place(NamedTuple):
    """Where in a file a wrong byte stands: the line counted from 1, the offset from 0."""

    line: int
    offset: int
    byte: int


@contextlib.contextmanager
def open_text(path: Path, newline: str | None = "") -> Iterator[TextIO]:
    """Check a file and yield it opened as text, expanded where its name ends in `.gz`; `newline` is that of `open`.

    Raises InputError where it is empty, too large, not UTF-8, or holds a NUL byte; lines and offsets are the text's.
    """
    _check(path)
    with _opened(path) as file:
        yield io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline)


def read_text(path: Path) -> str:
    """Return a file's text, line ends as they are; raise InputError as `open_text` does."""
    with open_text(path) as file:
        return file.read()


def _check(path: Path) -> None:
    check_limit(path, path.stat().st_size, "bytes", MAX_BYTES)
    decoder = codecs.getincrementaldecoder("utf-8")()
    length = line_feeds = returns = 0
    blank = True
    nul: _Place | None = None
    broken: _Place | None = None
    for chunk in itertools.chain(_chunks(path), [b""]):  # the empty one ends the text for the decoder
        text = chunk if length else chunk.removeprefix(codecs.BOM_UTF8)
        blank = blank and not text.strip()
        if nul is None and (start := chunk.find(b"\0")) >= 0:
            nul = _Place(line_feeds + chunk.count(b"\n", 0, start) + 1, length + start, 0)
        if broken is None:
            before = len(decoder.getstate()[0])  # bytes of a character that the chunk before has begun
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                start = error.start - before
                line = line_feeds + chunk.count(b"\n", 0, max(start, 0)) + 1
                broken = _Place(line, length + start, error.object[error.start])
        length += len(chunk)
        line_feeds += chunk.count(b"\n")
        returns += chunk.count(b"\r")
    if blank:
        raise InputError(f"{path}: empty file, expected rows")
    check_limit(path, max(line_feeds, returns), "lines", MAX_LINES)
    if nul is not None:
        raise InputError(f"{path}: line {nul.line}: NUL byte at offset {nul.offset}, expected UTF-8 text")
    if broken is not None:
        raise InputError(f"{path}: line {broken.line}: byte 0x{broken.byte:02x} at offset {broken.offset} is not UTF-8")


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file's text; a few kilobytes may expand to gigabytes, so they are counted as they come."""
    length = 0
    try:
        with _opened(path) as file:
            while chunk := file.read(_CHUNK):
                length += len(chunk)
                check_limit(path, length, "bytes uncompressed", MAX_BYTES)
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a gzip file ({error})") from None


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else open(path, "rb"))
