"""`stillhouse clean`: what interrupted, superseded and trial runs left behind, and nothing a next run would use."""

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from filelock import FileLock, Timeout

from pipeline.cli.answers import answer, asks_for_json
from pipeline.cli.preflight import check_project
from pipeline.files import InputError, content_hash, read_json
from pipeline.locks import run_lock
from pipeline.processes import is_running
from pipeline.project_copy import NEW_DATA, QUICK

TEACHER_CACHE = Path(".stillhouse/teacher_cache")
SHARDS = Path(".stillhouse/shards")
WRITTEN = ("data", "models", "reports", ".stillhouse")
DRAFT = re.compile(r"\..+\.(\d+-\d*)\.[0-9a-f]{32}\.(?:partial|discarded|scratch)")  # as pipeline.files names them


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go, why nothing needs it, and the bytes that are free once it is gone."""

    path: Path
    reason: str
    size: int


def _leftover(path: Path, reason: str) -> Leftover:
    members = path.rglob("*") if path.is_dir() else [path]
    return Leftover(path, reason, sum(member.lstat().st_size for member in members if member.is_file()))


def free_leftovers(*, agreed: bool) -> None:
    """Print what may go and how large it is; remove it when the user agrees, who is not asked when `agreed`.

    Raises InputError where nobody is there to be asked.
    """
    check_project()
    with run_lock("stillhouse clean", lambda line: print(line, file=sys.stderr)):
        found = list(leftovers())
        if not found:
            print("Nothing to free.")
            answer({"freed": [], "bytes": 0})
            return
        for leftover in found:  # whole lines: a path that is cut or wrapped is none
            print(f"{megabytes([leftover]):>12}  {leftover.path}  ({leftover.reason})")
        print(f"{megabytes(found):>12}  in all")
        if not agreed:
            if not sys.stdin.isatty() or asks_for_json():
                raise InputError("clean: nobody to ask, expected --yes to free what is listed")
            typer.confirm("Free this?", abort=True)
        for leftover in found:
            _remove(leftover.path)
    print(f"Freed {megabytes(found)}.")
    freed = [{"path": str(left.path), "reason": left.reason, "bytes": left.size} for left in found]
    answer({"freed": freed, "bytes": sum(left.size for left in found)})


def leftovers() -> Iterator[Leftover]:
    """Yield what no next run can use: to be asked for while no run goes on."""
    yield from _checkpoints()
    yield from _teacher_caches()
    for root in map(Path, WRITTEN):
        for path in root.rglob(".*"):
            draft = DRAFT.fullmatch(path.name)
            if draft and not is_running(draft[1]) and not {QUICK, NEW_DATA}.intersection(path.parents):
                yield _leftover(path, "half-written by a process that was killed")
    if SHARDS.is_dir():
        yield _leftover(SHARDS, "shards of a training that ended early, which fetches them again")
    if QUICK.is_dir():
        yield _leftover(QUICK, "what `stillhouse quick` works in")
    if NEW_DATA.is_dir():
        yield _leftover(NEW_DATA, "new data that `refresh` did not take")


def _checkpoints() -> Iterator[Leftover]:
    """Yield the work folders that the next start of their stage will not find.

    That is every one but the newest of a stage, and that one too where it was made by other code, other libraries or
    on another kind of processor. Whether parameters and data are still the same only the stage itself can tell.
    """
    from pipeline.training import checkpoints, runtime

    present = {"code": checkpoints.code_hash(), "runtime": runtime.fingerprint()}
    newest: dict[str, Path] = {}
    folders = [folder for folder in checkpoints.FOLDER.glob("*-*") if folder.is_dir()]
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime):
        newest[folder.name.rpartition("-")[0]] = folder
    for folder in sorted(folders):
        if _is_in_use(folder):
            continue
        if folder is not newest[folder.name.rpartition("-")[0]]:
            yield _leftover(folder, "a later start of the stage has its own")
        elif any(_key_of(folder).get(name) != value for name, value in present.items()):
            yield _leftover(folder, "made by other code, other libraries or on another processor")


def _is_in_use(folder: Path) -> bool:
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _key_of(folder: Path) -> dict[str, Any]:
    from pipeline.training.checkpoints import KEY

    try:
        return dict(read_json(folder / KEY))
    except InputError:  # killed before it was written
        return {}


def _teacher_caches() -> Iterator[Leftover]:
    from pipeline.distillation.cache_entry import MARKER

    teachers = {content_hash(folder) for folder in Path("models").glob("*/teacher")}
    for entry in sorted(TEACHER_CACHE.glob("*")):
        try:
            teacher = read_json(entry / MARKER)["key"]["inputs"]["teacher"]
        except (InputError, KeyError):
            yield _leftover(entry, "not finished")
            continue
        if teacher not in teachers:
            yield _leftover(entry, "of a teacher that is no more")


def megabytes(found: list[Leftover]) -> str:
    """Return how much goes with all of `found`, as a person reads it."""
    return f"{sum(leftover.size for leftover in found) / 1e6:,.1f} MB"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        path.with_suffix(".lock").unlink(missing_ok=True)  # of a work folder
    else:
        path.unlink(missing_ok=True)
