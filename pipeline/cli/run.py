"""`stillhouse run`: a checked `dvc repro` that one can watch, with exit codes that mean something."""

import contextlib
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from pipeline.cli.answers import answer, fail
from pipeline.cli.preflight import check_project, check_room, check_surroundings
from pipeline.cli.progress import Progress, planned_stages
from pipeline.drivers import (
    dvc,
    failure,
    forget_failures,
    is_chatter,
    left_no_word,
    outcome_in,
    record_seconds,
    start,
    stop,
)
from pipeline.files import InputError, read_json
from pipeline.locks import run_lock, wait_for_dvc
from pipeline.outcomes import write_outcomes
from pipeline.params import load_params, read_yaml
from pipeline.processes import end_with_make


def run_project(targets: list[str]) -> int:
    """Check everything, run the stages that `targets` need (all without targets), print the table.

    Returns the exit code: 0 done, 1 a failure, 2 something wrong with the user's input. Ctrl-C and SIGTERM end the
    program with 130 and 143. Whatever the end, no process is left behind.
    """
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
    end_with_make()
    check_project()
    check_surroundings(load_params(Path("params.yaml")))
    stages = planned_stages()
    with run_lock("stillhouse run", _say):
        code, line = _reproduce(targets, stages)
        if code == 0:
            code, line = _order_lock(stages)
    if code:
        fail(line)
    elif targets:
        answer({"targets": targets})
    else:
        print_table()
    return code


def _reproduce(targets: list[str], stages: dict[str, str]) -> tuple[int, str]:
    """Run DVC; return its exit code and for a failure the one line that says why."""
    while True:
        code, failed, lines = _repro(targets, stages)
        if code == 0:
            return 0, ""
        if not wait_for_dvc(lines, _say, time.sleep):
            return _reason(failed, lines)


def _repro(targets: list[str], stages: dict[str, str]) -> tuple[int, str | None, list[str]]:
    """Run DVC once; return its exit code, the stage it was at and its lines."""
    forget_failures()
    lines: list[str] = []
    with Progress(stages, whole=not targets) as progress, start(dvc("repro", *targets)) as process:
        assert process.stdout is not None
        try:
            for line in map(str.rstrip, process.stdout):
                lines.append(line)
                if announced := outcome_in(line):
                    progress.stage(*announced)
                    seconds = progress.seconds
                    write_outcomes({name: (did, seconds.get(name, 0.0)) for name, did in progress.outcomes.items()})
                elif not is_chatter(line):
                    progress.line(line)
            code = process.wait()
        finally:
            stop(process)
        failed = progress.current
        progress.stage_ended()
    with contextlib.suppress(InputError):  # no room for it, which `_reason` says better
        record_seconds({stage: seconds for stage, seconds in progress.seconds.items() if code == 0 or stage != failed})
    return code, failed, lines


def _reason(failed: str | None, lines: list[str]) -> tuple[int, str]:
    """Return (exit code, one line) of a failed run; where the stage left no word, a disk full by now may be why."""
    code, line = failure(failed, lines)
    if code == 1 and (failed is None or left_no_word(failed)):
        try:
            check_room()
        except InputError as error:
            return 2, f"{line}; {error}"
    return code, line


def _order_lock(stages: dict[str, str]) -> tuple[int, str]:
    """Make dvc.lock canonical where it is not: `flows.graph` does it, in a process because it imports DVC."""
    lock = Path("dvc.lock")
    if not lock.is_file() or list(read_yaml(lock).get("stages", {})) == list(stages):
        return 0, ""
    with start([sys.executable, "-m", "flows.graph"]) as process:
        try:
            output, _ = process.communicate()
        finally:
            stop(process)
    return process.returncode, f"dvc.lock: could not be put in order: {output.strip()}"


def print_table() -> None:
    """Print the closing table of the last run."""
    from pipeline.evaluation.report import closing_table

    summary = read_json(Path("reports/summary.json"))
    Console().print(closing_table(summary))
    answer(summary)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)
