"""A flow as a command: it runs here, on a server of its own where none is named, and its state is the exit code.

Exit codes: 0 done, 1 a failure, 2 something wrong with the user's input, 130 and 143 ended by Ctrl-C and SIGTERM.
"""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from prefect.client.schemas.objects import State

from flows.dag import BAD_INPUT
from flows.server import start_server
from pipeline.processes import end_with_make


def run_here(flow: Callable[..., State[None]], parameters: dict[str, Any]) -> int:
    """Run `flow` in this process and return its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
    end_with_make()
    try:
        start_server()
        state = flow(**parameters, return_state=True)
    except KeyboardInterrupt:
        return 130
    if state.is_completed():
        return 0
    print(state.message, file=sys.stderr)
    return 2 if state.name == BAD_INPUT else 1


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)
