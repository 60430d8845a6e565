"""Who may run on a checkout: one driver at a time, beside it a DVC of somebody's own, and nobody who is gone."""

import contextlib
import fcntl
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from pipeline.drivers import STATE
from pipeline.files import replacing
from pipeline.processes import identity, is_running

FILES_IN_USE = Path(".dvc/tmp/rwlock")
DVC_LOCK = Path("dvc.lock")
_IN_USE = re.compile(r"\s+\(PID (\d+)\): (.+)")


@contextlib.contextmanager
def run_lock(owner: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold `.stillhouse/run.lock`; where another run does, say which process and since when, and wait for it.

    The kernel lets go of the lock when its holder dies, however it dies. What DVC kept of processes that were killed is
    forgotten before and after, and a `dvc.lock` that one of them was writing is mended.
    """
    STATE.mkdir(exist_ok=True)
    with open(STATE / "run.lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"{file.name}: held by {file.read() or 'another run'}; waiting for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{owner}, pid {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}")
        file.flush()
        try:
            _forget_the_gone()
            mend_dvc_lock(say)
            yield
        finally:
            _forget_the_gone()
            mend_dvc_lock(say)
            file.truncate(0)


def mend_dvc_lock(say: Callable[[str], object]) -> bool:
    """Cut a half-written `dvc.lock` back to its last whole stage, say so and tell whether it was; DVC reads it no more.

    DVC writes it in place, in most of a second where the project is large, and a kill in the meantime leaves a part of
    it. What is missing then DVC takes from its cache of runs, as after a change that was taken back. Not for a process
    that holds DVC's lock of the repository.
    """
    if not _is_half_written():
        return False
    guard = FILES_IN_USE.with_name("lock")  # DVC's own, around each command and not while a stage runs
    guard.parent.mkdir(parents=True, exist_ok=True)
    with open(guard, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _is_half_written():  # it was being written
            return False
        text = DVC_LOCK.read_text(encoding="utf-8", errors="replace")
        stages = [match.start() for match in re.finditer(r"^  \S", text, flags=re.MULTILINE)]
        if len(stages) > 1:
            with replacing(DVC_LOCK) as draft:
                draft.write_text(text[: stages[-1]], encoding="utf-8")
        else:
            DVC_LOCK.unlink()
    say(f"{DVC_LOCK}: half-written by a process that was killed, {max(len(stages) - 1, 0)} of its stages are whole")
    return True


def wait_for_dvc(lines: Sequence[str], say: Callable[[str], None], pause: Callable[[float], object]) -> bool:
    """Where DVC's `lines` say that others use its files, say who and wait for them to end; tell whether they do.

    `--wait-for-lock` waits for DVC's lock of the repository alone, not for the files that a stage has locked.
    """
    holders = {int(match[1]): match[2] for line in lines if (match := _IN_USE.fullmatch(line))}
    names = [identity(process) for process in holders]
    for process, command in holders.items():
        say(f"{FILES_IN_USE}: held by {command}, pid {process}; waiting for it to end")
    while any(is_running(name) for name in names):
        pause(0.5)
    return bool(holders)


def _forget_the_gone() -> None:
    """Drop from DVC's list of files in use those of processes that are gone; drop a broken list.

    DVC does the first itself, unless the number has come back for another process, as it soon does in a container: then
    it calls the file busy for ever. A SIGKILL while DVC writes the list breaks it, and DVC reads it no more.
    """
    if sys.platform != "linux" or not FILES_IN_USE.exists():
        return
    with open(FILES_IN_USE.with_name("rwlock.lock"), "a", encoding="utf-8") as guard:  # DVC's own, around each change
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            found = json.loads(FILES_IN_USE.read_text(encoding="utf-8"))
        except ValueError:
            FILES_IN_USE.unlink()
            return
        writers = {path: info for path, info in found.get("write", {}).items() if _holds(info)}
        readers = {path: [info for info in infos if _holds(info)] for path, infos in found.get("read", {}).items()}
        kept = {"write": writers, "read": {path: infos for path, infos in readers.items() if infos}}
        FILES_IN_USE.write_text(json.dumps(kept), encoding="utf-8")


def _is_half_written() -> bool:
    """Tell whether `dvc.lock` ends inside a line or with a key of DVC's that has no value, as no whole one does.

    Keys of parameters, which are null where they have none, are indented by eight or more.
    """
    if not DVC_LOCK.is_file():
        return False
    text = DVC_LOCK.read_bytes()
    return not text.endswith(b"\n") or re.search(rb"^ {,7}\S.*:\n\Z", text, flags=re.MULTILINE) is not None


def _holds(info: dict[str, Any]) -> bool:
    """Tell whether the process of an entry is the command that made it, by that command's last word."""
    try:
        running = Path(f"/proc/{info['pid']}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return PurePath(info["cmd"].split()[-1]).stem in running
