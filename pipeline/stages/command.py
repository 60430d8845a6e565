"""How a stage becomes a command: options from its signature, one line for an error, an exit code with a meaning.

Exit codes: 0 done, 1 a failure, 2 something wrong with the user's input, 143 ended by SIGTERM.
DVC answers 255 for each of the last three, so the code and the line are also left in `.stillhouse/stages/NAME.json`,
where `stillhouse run` and the flow read them.
"""

import argparse
import atexit
import contextlib
import gc
import inspect
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pipeline.files import InputError, explain, write_json
from pipeline.params import Params, RuntimeParams, load_params
from pipeline.processes import end_with_parent, is_rank, rank

STATE = Path(".stillhouse/stages")
SOON = 0.05  # seconds until a signal that came where nobody may be interrupted comes again
YOUNG_OBJECTS = 10_000  # before the collector looks: with Python's 700 an import of transformers took a fifth longer


Launch = Callable[[RuntimeParams, list[str]], tuple[int, str]]


def main(run: Callable[..., None], launch: Launch | None = None) -> None:
    """Run a stage from the command line and exit.

    `run` is `run(params, *, dataset: str, rows: Path, ...)`; every keyword becomes a required option of the same name
    (`held_out` is `--held-out`). `params.yaml` is read from the current folder. `--debug` shows the traceback.
    A stage that trains gives `launch`, which starts this command once for each of `runtime.processes`, where these are
    several (`pipeline.training.launching`).
    """
    codes: list[int] = []
    atexit.register(_leave, codes)  # registered first, called last
    gc.set_threshold(YOUNG_OBJECTS)
    module = inspect.getmodule(run).__spec__.name  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=run.__doc__)
    keywords = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
    for keyword in keywords:
        parser.add_argument(f"--{keyword.name.replace('_', '-')}", type=keyword.annotation, required=True)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = vars(parser.parse_args())
    debug = arguments.pop("debug") or bool(os.environ.get("STILLHOUSE_DEBUG"))
    stage = run.__module__ if run.__module__ != "__main__" else parser.prog.rsplit(" ", 1)[1]
    key = arguments.get("dataset") or arguments.get("task")
    command = [module, *sys.argv[1:]]
    name = stage.rsplit(".", 1)[1] + (f"@{key}" if key else "")
    _answer_signals(_terminated)
    sys.unraisablehook = _not_raised
    _die_with_parent()
    # both are read at import: bars of libraries would stand among DVC's lines, and a thread that spins while it waits
    # for others takes from them what it waits for: beside other work a step took thirty times as long, now twice
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if rank():  # the first process speaks for all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def begin(params: Params) -> tuple[int, str]:
        if launch is not None and params.runtime.processes > 1 and not is_rank():
            return launch(params.runtime, command)
        run(params, **arguments)
        return 0, ""

    codes.append(_outcome(begin, name, debug))
    _answer_signals(signal.SIG_IGN)  # all is said: an exit handler that is interrupted would add its traceback
    sys.exit(codes[0])


def _leave(codes: list[int]) -> None:
    """End the process here: taking apart all that was imported takes Python a second where that is torch or more.

    The processes of one training are left to their usual end, as others of them may still wait for this one's word.
    """
    if codes and not is_rank():
        with contextlib.suppress(OSError):  # of a pipe or disk that takes no more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(codes[0])


def _die_with_parent() -> None:
    """Have Linux send SIGTERM when the process that started this one dies, so that no orphan works beside a new run.

    DVC starts a stage through a shell, which `exec` in dvc.yaml replaces by the stage, in its own process group: a
    parent from another group has taken over a stage whose DVC was gone before the call.
    """
    end_with_parent()
    if (
        sys.platform == "linux"
        and not is_rank()
        and "DVC_STAGE" in os.environ
        and os.getpgid(os.getppid()) != os.getpgrp()
    ):
        sys.exit(143)


def _outcome(begin: Callable[[Params], tuple[int, str]], name: str, debug: bool) -> int:
    state = STATE / f"{name}.json"
    try:
        if not is_rank():
            state.unlink(missing_ok=True)
        code, line = begin(load_params(Path("params.yaml")))
    except Exception as error:
        code, line = explain(error)
        if debug:
            traceback.print_exc()
    except (SystemExit, KeyboardInterrupt):
        code, line = 143, "ended by a signal"
    if code and is_rank():  # whoever started the processes prints the line of the first that failed
        note = {"message": line, "timestamp": int(time.time())}
        Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps(note), encoding="utf-8")
    elif code:
        print(f"{name}: {line}", file=sys.stderr, flush=True)
        with contextlib.suppress(InputError, OSError):  # a full or read-only disk is what the line above already says
            write_json(state, {"code": code, "line": line})
    return code


def _answer_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGALRM, handler)  # how a SIGTERM comes again that came where nobody may be interrupted


def _terminated(signum: int, frame: FrameType | None) -> None:
    """End the stage by an exception, so that what it has open is closed.

    Not in the middle of an import, which would go with some of Python's import locks held: another thread that imports
    then waits for ever, and whoever waits for that one, such as an exit handler of torch's. So once it is over.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # DVC's death sends it again, while the first one closes MLflow's run
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        frame = frame.f_back
    raise SystemExit(143)


def _not_raised(error: "sys.UnraisableHookArgs") -> None:
    """Have a signal come again whose exception Python dropped, where an object was taken apart; print other errors."""
    if isinstance(error.exc_value, SystemExit):
        signal.setitimer(signal.ITIMER_REAL, SOON)
    else:
        sys.__unraisablehook__(error)
