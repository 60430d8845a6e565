"""Which process is which, and who ends with whom.

The number of a process comes back for another one, its number with the time of its start does not.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_libc = ctypes.CDLL(None)  # loaded here, because between fork and exec a child should load nothing
_PR_SET_PDEATHSIG = 1


def is_rank() -> bool:
    """Tell whether this process is one of several that torchrun has started for one stage."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """Return which of the processes of one training this is: 0 for the first, which alone writes, or a lone one."""
    return int(os.environ["RANK"]) if is_rank() else 0


def local_rank() -> int:
    """Return which of them this is on its own machine."""
    return int(os.environ["LOCAL_RANK"]) if is_rank() else 0


def end_with_parent() -> None:
    """Ask Linux to send this process SIGTERM when its parent dies, however it dies; elsewhere nobody does."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end_with_make() -> None:
    """End this process with the `make` that started it, if one did: killed, it cannot say so itself."""
    if "MAKELEVEL" in os.environ:
        end_with_parent()


def identity(process: int | None = None) -> str:
    """Return a name for a running process, this one by default, that no later process of this machine has."""
    process = os.getpid() if process is None else process
    return f"{process}-{_start_of(process)}"


def is_running(name: str) -> bool:
    """Tell whether the process that `identity` gave `name` to still runs."""
    number, _, start = name.partition("-")
    return _start_of(int(number)) == start


def _start_of(process: int) -> str | None:
    """Return when a process began in ticks since the machine's start; nothing but that it runs where there is no /proc.

    One that has ended and waits for its parent to notice runs no more.
    """
    try:
        os.kill(process, 0)
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except ProcessLookupError:
        return None
    except OSError:  # another user's, or another system's
        return ""
    return None if state in "ZX" else fields[18]
