"""`make worker`: a worker of Prefect's for the runs of this checkout, after a word on what one that was killed left."""

import os
import signal
import sys
from typing import NoReturn

from flows.crashes import close_crashed_runs
from flows.server import POOL, PROGRAM, require_server
from pipeline.files import InputError


def main() -> NoReturn:
    """Close what crashed and become Prefect's worker; exit with 2 where no server answers."""
    try:
        require_server()
    except InputError as error:
        print(f"worker: {error}", file=sys.stderr)
        sys.exit(2)
    close_crashed_runs()
    # what a script starts in the background ignores SIGINT, which Prefect's worker sends itself to stop on SIGTERM
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(PROGRAM, [PROGRAM, "worker", "start", "--pool", POOL, "--type", "process"])


if __name__ == "__main__":
    main()
