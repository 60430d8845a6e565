"""Writing files whole or not at all, hashing what was written, naming what went wrong. No domain logic."""

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.processes import identity, is_running

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class InputError(Exception):
    """What the user gave is wrong: one line naming file, row or key, what was found, what was expected."""

    def __init__(self, line: str) -> None:
        super().__init__(one_line(line))


LONGEST_LINE = 1000  # characters; what was found may be a megabyte
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")


def one_line(text: str) -> str:
    """Return `text` fit for a terminal and a log, whatever stands in it.

    Line ends and other control characters are escaped, the user and password of a URL left out, and of what is too long
    the middle.
    """
    text = without_credentials(text)
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE * 2 // 3]} … {text[-LONGEST_LINE // 4 :]}"
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def without_credentials(text: str) -> str:
    """Return `text` with every URL in it, `https://user:password@host/…`, reduced to `https://host/…`."""
    return _CREDENTIALS.sub("", text)


# the system's words, and those of libraries that keep its error to themselves: SQLite, numpy, torch
_NO_ROOM = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|database or disk is full|disk I/O error"
    r"|\d+ requested and \d+ written|unexpected pos \d+ vs \d+"
)
_NO_ACCESS = re.compile(
    "Permission denied|Operation not permitted|Read-only file system|attempt to write a readonly database"
    "|unable to open database file"
)


def refusal(words: str) -> tuple[str, str] | None:
    """Return what the system refused and what was expected, where an error's `words` say so: a disk, a permission."""
    if match := _NO_ROOM.search(words):
        return match[0], "expected room on the disk"
    if match := _NO_ACCESS.search(words):
        return match[0], f"expected user {os.getuid()} to have access"
    return None


def explain(error: Exception) -> tuple[int, str]:
    """Return (exit code, one line) for an error: 2 for what the user can put right, 1 for a failure."""
    if isinstance(error, InputError):
        return 2, str(error)
    if isinstance(error, OSError) and error.strerror:
        line = f"{error.filename or 'a file'}: {error.strerror}"
    else:
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    line = one_line(line)
    refused = refusal(line)
    return (2, f"{line}, {refused[1]}") if refused else (1, line)


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(path: Path) -> str:
    """Return one sha256 for a file or a folder: names and bytes count, times and owners do not."""
    if path.is_file():
        return sha256_of_file(path)
    digest = hashlib.sha256()
    for member in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{member.relative_to(path).as_posix()}\0{sha256_of_file(member)}\n".encode())
    return digest.hexdigest()


def stable_hash(value: Any) -> str:
    """Return the sha256 of a JSON-able value, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write a file or a folder to; it becomes `target` when the block ends well.

    When the block raises, what was written is removed and an older `target` stands untouched; what a process that was
    killed left of its attempt goes as well. A full disk or a folder closed to the user becomes an InputError that names
    `target`, which the libraries' own errors do not.
    """
    draft = _beside(target, "partial")
    with refusals_naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(target)
        try:
            yield draft
            if target.is_dir() and not target.is_symlink():
                discarded = draft.with_suffix(".discarded")
                os.replace(target, discarded)
                os.replace(draft, target)
                _remove(discarded)
            else:
                os.replace(draft, target)
        finally:
            _remove(draft)


@contextlib.contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that is gone when the block ends; one that a killed process left goes.

    A full disk becomes an InputError that names `target`. A file that is closed to the user may be one that is read.
    """
    folder = _beside(target, "scratch")
    with refusals_naming(target):
        folder.mkdir(parents=True)
        _remove_left_behind(target)
    try:
        with refusals_naming(target, passing=(InputError, PermissionError)):
            yield folder
    finally:
        _remove(folder)


def _beside(target: Path, kind: str) -> Path:
    return target.parent / f".{target.name}.{identity()}.{uuid.uuid4().hex}.{kind}"


def _remove_left_behind(target: Path) -> None:
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        draft = re.match(r"(\d+-\d*)\.[0-9a-f]{32}\.", left.name.removeprefix(f".{target.name}."))
        if draft and not is_running(draft[1]):
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def refusals_naming(place: Path | str, *, passing: tuple[type[Exception], ...] = (InputError,)) -> Iterator[None]:
    """Turn the system's refusal of room or access inside the block into an InputError that names `place`.

    Errors of the types `passing` already name what they are about and go through as they are.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:
        refused = refusal(str(error))
        if refused is None:
            raise
        raise InputError(f"{place}: could not be written ({refused[0]}), {refused[1]}") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def open_parquet(path: Path, **options: Any) -> "pq.ParquetFile":
    """Open a Parquet file to be read a megabyte of a column at a time; pyarrow by itself reads the whole file ahead."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20, **options)


def read_json(path: Path) -> Any:
    """Read a JSON file; raise InputError naming the file where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a JSON file") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a number of thousands of digits, too deep
        raise InputError(f"{path}: not valid JSON ({error})") from None
