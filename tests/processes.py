"""A stage that never ends and what runs in a folder: for tests that a killed driver leaves nothing behind."""

import os
import time
from pathlib import Path

SLOW = """\
import time
from pathlib import Path
from pipeline.params import Params
from pipeline.stages.command import main

def run(params: Params, *, out: Path) -> None:
    print("slow at work", flush=True)
    time.sleep(300)

if __name__ == "__main__":
    main(run)
"""


def processes_in(folder: Path) -> list[str]:
    """Return number and command line of each process whose working folder is `folder`, without this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and (process / "cwd").readlink() == folder:
                found.append(f"{process.name} {(process / 'cmdline').read_text()}".replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found


def left_after(folder: Path, seconds: float) -> list[str]:
    """Return what still runs in `folder` when all has ended or `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left
