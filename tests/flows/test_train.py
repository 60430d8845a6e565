"""The flow against a serial `dvc repro`: same lock, branches side by side, truthful states, nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import PROJECT, make_toy, run

pytestmark = pytest.mark.usefixtures("prefect_server")


def flow_run(**parameters: Any) -> tuple[Any, dict[str, Any]]:
    """Run the flow here; return its final state and its task runs by name, as the server knows them."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    from flows.train import train

    state = train(**parameters, return_state=True)
    this = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return state, {task.name: task for task in client.read_task_runs(flow_run_filter=this)}


def test_same_lock_as_serial_repro_and_branches_overlap(toy: Path, tmp_path: Path) -> None:
    serial = make_toy(tmp_path / "serial")
    run("-m", "dvc", "repro", folder=serial)

    state, tasks = flow_run()
    assert state.is_completed()
    assert (toy / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()
    names = {"seed.txt.dvc", "sow@left", "sow@right", "grow@left", "grow@right", "reap"}
    assert set(tasks) == names
    assert all(tasks["reap"].start_time >= tasks[name].end_time for name in ("grow@left", "grow@right"))
    if (os.cpu_count() or 1) >= 2:
        left, right = ([float(value) for value in (toy / "times" / f"sow-{side}").read_text().split()] for side in ("left", "right"))
        assert left[0] < right[1] and right[0] < left[1]

    state, tasks = flow_run()
    assert state.is_completed()
    assert {task.state.name for task in tasks.values()} == {"Cached"}


def test_failed_branch_stops_its_dependents_and_nothing_else(toy: Path) -> None:
    (toy / "fail-grow-left").touch()
    state, tasks = flow_run()
    assert state.is_failed() and "grow@left" in state.message
    assert tasks["grow@left"].state.is_failed()
    assert tasks["grow@right"].state.is_completed()
    assert (toy / "grow-right.txt").is_file() and not (toy / "reap.txt").exists()
    assert "reap" not in tasks or tasks["reap"].state.name == "NotReady"

    (toy / "fail-grow-left").unlink()
    state, tasks = flow_run()
    assert state.is_completed()
    assert tasks["grow@right"].state.name == "Cached" and tasks["reap"].state.name == "Completed"


def test_wrong_params_fail_before_the_first_stage(toy: Path) -> None:
    params = toy / "params.yaml"
    params.write_text(params.read_text().replace("seed: 17", "seed: seventeen"))
    state, tasks = flow_run()
    assert state.is_failed() and "runtime.seed" in state.message
    assert not tasks


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_cancel_leaves_no_process(toy: Path, number: signal.Signals) -> None:
    definition = toy / "dvc.yaml"
    definition.write_text(definition.read_text().replace(" 1.5 ", " 300 "))
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.train"],
        cwd=toy,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.search("sow-.* at work", line):
            break
    else:
        pytest.fail("".join(seen))
    assert processes_in(toy)
    process.send_signal(number)
    started = time.monotonic()
    output = process.stdout.read()
    assert process.wait(timeout=30) == 128 + number, output
    assert time.monotonic() - started < 15
    assert not processes_in(toy)
    assert not any(toy.glob("sow-*.txt"))


def processes_in(folder: Path) -> list[int]:
    """Return the ids of processes whose working folder is `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder:
                found.append(int(link.parent.name))
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found
