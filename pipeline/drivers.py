"""What the two drivers, `stillhouse run` and the flow, share.

The environment of a child, process groups that end as one, what DVC's lines mean, how long stages took.
"""

import functools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pipeline.files import InputError, read_json, refusal, write_json
from pipeline.processes import end_with_parent

STATE = Path(".stillhouse")
HOST, MLFLOW_PORT, PREFECT_PORT = "127.0.0.1", 5000, 4200  # of `stillhouse ui`, where nobody else has the ports
Outcome = Literal["ran", "restored", "unchanged"]

# --- child processes -------------------------------------------------------------------------------------------------

_QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
}


def environment() -> dict[str, str]:
    """Return a child's environment: this interpreter's folder first on PATH, lines unbuffered, no telemetry.

    PYTHONDONTWRITEBYTECODE is left out: with it every stage would compile all it imports anew, seconds each time.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**_QUIET, **inherited, "PATH": path}


def dvc(*arguments: str) -> list[str]:
    """Return the command for DVC; it waits for the repository lock instead of failing on it."""
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]


def start(command: list[str]) -> subprocess.Popen[str]:
    """Start `command` in a process group of its own, output and errors in one pipe of lines."""
    return subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        preexec_fn=functools.partial(_end_with, os.getpid()),
    )


def stop(process: subprocess.Popen[str], grace: float = 10.0) -> None:
    """End a process and all it started: SIGTERM to the group, SIGKILL to what is left after `grace` seconds.

    Interrupted while it waits, it kills at once.
    """
    try:
        if not _group_ends(process, signal.SIGTERM, grace):
            _group_ends(process, signal.SIGKILL, 2.0)
    except BaseException:
        _signal_group(process.pid, signal.SIGKILL)
        raise


def _group_ends(process: subprocess.Popen[str], number: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    _signal_group(process.pid, number)
    while time.monotonic() < deadline:
        process.poll()  # takes the leader's exit status, else it stays in its group
        if not _signal_group(process.pid, 0):
            return True
        time.sleep(0.05)
    return False


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _end_with(parent: int) -> None:
    """End this child when its parent dies; stages ask the same for themselves."""
    end_with_parent()
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


# --- what DVC's lines mean -------------------------------------------------------------------------------------------

_OUTCOMES: dict[str, Outcome] = {
    "Running stage '(.+)':": "ran",
    "Stage '(.+)' is cached - skipping run, checking out outputs": "restored",
    "(?:Stage )?'(.+)' didn't change, skipping": "unchanged",
}
_CHATTER = re.compile(
    r"\s*$|> (?:exec )?python |Updating lock file|Generating lock file|To track the changes with git|\tgit add "
    r"|\tdvc config |To enable auto staging|Use `dvc push`|Data and pipelines are up to date|ERROR: failed to reproduce"
    r"|Verifying data sources in stage|WARNING: Process '.*' with \(Pid \d+\), in RWLock-file"
)

# of a copy that failed DVC keeps to itself what the system said, and SQLite says of no error which database it is about
_NOT_COPIED = re.compile(r"No possible cache link types for '(.+?)'\. ")
_UNNAMED = re.compile(r"^unexpected error - (?=database|disk|attempt to write|unable to open database)")


def outcome_in(line: str) -> tuple[str, Outcome] | None:
    """Return (stage, outcome) where a line of `dvc repro` announces one."""
    for pattern, outcome in _OUTCOMES.items():
        if match := re.fullmatch(pattern, line):
            return match[1], outcome
    return None


def is_chatter(line: str) -> bool:
    """Tell whether a line is DVC talking about itself."""
    return _CHATTER.match(line) is not None


def forget_failures(stages: Iterable[str] = ()) -> None:
    """Remove what earlier runs left about failed stages, so that only this run's word is read."""
    states = [_state_of(stage) for stage in stages] or list((STATE / "stages").glob("*.json"))
    for state in states:
        state.unlink(missing_ok=True)


def failure(stage: str | None, lines: Sequence[str]) -> tuple[int, str]:
    """Return (exit code, one line) of a failed stage: what it left itself, else DVC's error among its `lines`.

    The code is 2 for the user's input and 1 for a failure.
    """
    if stage and _state_of(stage).is_file():
        state = read_json(_state_of(stage))
        return (2 if state["code"] == 2 else 1), f"{stage}: {state['line']}"
    own = [line for line in lines if stage and line.startswith(f"{stage}: ")]
    if own:  # there was no room to leave it
        return (2 if refusal(own[-1]) else 1), own[-1]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ") or " is busy, " in line]
    line = errors[-1] if errors else f"{stage or 'dvc'}: ended without a word, perhaps killed"
    if copied := _NOT_COPIED.search(line):
        wanted = f"expected room on its disk and user {os.getuid()} to have access"
        return 2, f"{copied[1]}: could not be copied from DVC's cache, {wanted}"
    line = _UNNAMED.sub("DVC's own database (`dvc doctor` names its folder as Repo.site_cache_dir): ", line)
    refused = refusal(line)
    return (2, f"{line}, {refused[1]}") if refused else (1, line)


def left_no_word(stage: str) -> bool:
    """Tell whether a failed stage ended without reporting why: killed from outside, or never started by DVC."""
    return not _state_of(stage).is_file()


def _state_of(stage: str) -> Path:
    return STATE / "stages" / f"{stage}.json"


# --- how long stages take --------------------------------------------------------------------------------------------

TIMINGS = STATE / "timings.json"
SHIPPED_TIMINGS: dict[str, dict[str, float]] = read_json(Path(__file__).with_name("timings.json"))
RECIPE_TIMINGS: dict[str, dict[str, float]] = read_json(Path(__file__).with_name("recipe_timings.json"))
_UNKNOWN_SECONDS = 20.0


def expected_seconds(stages: Iterable[str]) -> dict[str, float]:
    """Return how long each stage took last time here, else what the shipped timings say of its kind."""
    known = SHIPPED_TIMINGS["run"] | _own_timings()
    return {stage: known.get(stage, known.get(stage.split("@")[0], _UNKNOWN_SECONDS)) for stage in stages}


def record_seconds(seconds: dict[str, float]) -> None:
    """Keep how long stages took, for the time left that the next run shows."""
    write_json(TIMINGS, _own_timings() | {stage: round(value, 1) for stage, value in seconds.items()})


def _own_timings() -> dict[str, float]:
    try:
        return dict(read_json(TIMINGS))
    except InputError:  # none yet, or not what a run wrote
        return {}
