"""The flow against a serial `dvc repro`: same lock, branches side by side, truthful states, nothing left behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import PROJECT, run
from tests.processes import processes_in

pytestmark = pytest.mark.usefixtures("prefect_server")


def flow_run(expected: int = 6, **chosen: Any) -> tuple[Any, dict[str, Any]]:
    """Run the flow here with the `chosen` parameters; return its final state and its task runs by name.

    The server knows of `expected` task runs in the end.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    from flows.train import train

    state = train(**chosen, return_state=True)
    this = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    deadline = time.monotonic() + 30
    with get_client(sync_client=True) as client:
        while True:  # the server records task runs behind the flow's back
            tasks = {task.name: task for task in client.read_task_runs(flow_run_filter=this)}
            states = {name: task.state for name, task in tasks.items()}  # none at first
            open_ends = [name for name, of in states.items() if not (of and (of.is_final() or of.is_pending()))]
            if len(tasks) == expected and not open_ends:
                return state, tasks
            assert time.monotonic() < deadline, f"{len(tasks)} task runs of {expected}, without an end: {open_ends}"
            time.sleep(0.2)


def test_same_lock_as_serial_repro_and_branches_overlap(toy: Path, template: Path, tmp_path: Path) -> None:
    serial = tmp_path / "serial"
    shutil.copytree(template, serial)
    run("-m", "dvc", "repro", folder=serial)

    state, tasks = flow_run()
    assert state.is_completed()
    assert (toy / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()
    names = {"seed.txt.dvc", "sow@left", "sow@right", "grow@left", "grow@right", "reap"}
    assert set(tasks) == names
    assert all(tasks["reap"].start_time >= tasks[name].end_time for name in ("grow@left", "grow@right"))
    if (os.cpu_count() or 1) >= 2:
        left, right = (worked(toy, name) for name in ("sow-left", "sow-right"))
        assert left[0] < right[1] and right[0] < left[1]

    state, tasks = flow_run()
    assert state.is_completed()
    assert {task.state.name for task in tasks.values()} == {"Cached"}


def test_a_fresh_checkout_needs_no_server_and_no_folder(toy: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    assert not Path(".stillhouse").exists()
    command = [sys.executable, "-m", "flows.train", "sow@left"]
    done = subprocess.run(command, env=environment | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (toy / "sow-left.txt").exists() and list((toy / ".stillhouse/prefect").glob("prefect.db*"))


def test_failed_branch_stops_its_dependents_and_nothing_else(toy: Path) -> None:
    (toy / "fail-grow-left").touch()
    state, tasks = flow_run()
    assert state.is_failed() and "grow@left" in state.message
    assert tasks["grow@left"].state.is_failed()
    assert tasks["grow@right"].state.is_completed()
    assert (toy / "grow-right.txt").is_file() and not (toy / "reap.txt").exists()
    assert tasks["reap"].state.name == "NotReady"

    (toy / "fail-grow-left").unlink()
    state, tasks = flow_run()
    assert state.is_completed()
    assert tasks["grow@right"].state.name == "Cached" and tasks["reap"].state.name == "Completed"


def test_wrong_params_fail_before_the_first_stage(toy: Path) -> None:
    params = toy / "params.yaml"
    params.write_text(params.read_text().replace("seed: 17", "seed: seventeen"))
    state, tasks = flow_run(expected=0)
    assert state.is_failed() and "runtime.seed" in state.message
    assert not tasks


def test_targets_and_force_choose_what_runs(toy: Path) -> None:
    (toy / "dvc.yaml").write_text((toy / "dvc.yaml").read_text().replace(" 1.5 ", " 0 "))
    state, tasks = flow_run(expected=3, targets=["grow@left"])
    assert state.is_completed()
    assert set(tasks) == {"seed.txt.dvc", "sow@left", "grow@left"}
    first = {name: worked(toy, name) for name in ("sow-left", "grow-left")}

    state, tasks = flow_run(expected=3, targets=["grow@left"])
    assert {task.state.name for task in tasks.values()} == {"Cached"}
    state, tasks = flow_run(expected=3, targets=["grow@left"], force=True)
    assert state.is_completed() and tasks["sow@left"].state.name == tasks["grow@left"].state.name == "Completed"
    assert all(worked(toy, name)[0] > ended for name, (_, ended) in first.items())
    assert not list(toy.glob("*right*"))

    state, _ = flow_run(expected=0, targets=["nowhere"])
    assert state.name == "Bad input" and "'nowhere'" in state.message


def test_what_one_checkout_pushes_another_pulls_and_need_not_run(
    toy: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has no dvc.lock: what ran before is found in the run-cache, by what each stage depends on."""
    other = tmp_path / "other"
    shutil.copytree(template, other)
    shutil.rmtree(other / ".dvc/cache")
    (other / "seed.txt").unlink()
    for folder in (toy, other):
        name_remote(folder, tmp_path / "remote")
        (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text().replace(" 1.5 ", " 0 "))
    state, _ = flow_run(push=True)
    assert state.is_completed()

    monkeypatch.chdir(other)
    state, tasks = flow_run(pull=True)
    assert state.is_completed()
    assert {task.state.name for task in tasks.values()} == {"Cached"} and not (other / "times").exists()
    for name in ("dvc.lock", "reap.txt"):
        assert (other / name).read_bytes() == (toy / name).read_bytes()

    definition = (other / "dvc.yaml").read_text()
    (other / "dvc.yaml").write_text(definition.replace("stage.py reap", "stage.py  reap"))
    state, tasks = flow_run(pull=True)
    assert state.is_completed() and tasks["reap"].state.name == "Completed"  # nobody has run this one yet


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_a_cache_that_cannot_be_moved_is_one_line(toy: Path, direction: str) -> None:
    (toy / "dvc.yaml").write_text("stages: {}")
    state, _ = flow_run(expected=0, **{direction: True})
    assert state.name == "Bad input" and state.message.startswith(".dvc/config: no default remote, expected one")

    if direction == "pull":  # there has to be something to fetch
        shutil.rmtree(toy / ".dvc/cache")
        (toy / "seed.txt").unlink()
    (toy.parent / "file").touch()
    name_remote(toy, toy.parent / "file/remote")
    state, _ = flow_run(expected=0 if direction == "pull" else 1, **{direction: True})
    assert state.is_failed() and state.message.startswith(f"dvc {direction}: ") and "\n" not in state.message


def name_remote(toy: Path, remote: Path) -> None:
    """Make `remote` the place where DVC pushes to and pulls from."""
    text = f"[core]\n    remote = here\n['remote \"here\"']\n    url = {remote}\n"
    (toy / ".dvc/config.local").write_text(text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_cancel_leaves_no_process(toy: Path, number: signal.Signals) -> None:
    """The first run starts a temporary server of its own, which has to go as well; the second talks to the tests'."""
    from prefect.settings import PREFECT_API_URL

    definition = toy / "dvc.yaml"
    definition.write_text(definition.read_text().replace(" 1.5 ", " 300 "))
    server = {"PREFECT_API_URL": PREFECT_API_URL.value()} if number == signal.SIGINT else {}
    with subprocess.Popen(
        [sys.executable, "-m", "flows.train"],
        cwd=toy,
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | server,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if re.search("sow-.* at work", line):
                break
        assert len(processes_in(toy)) > 2, "".join(seen)
        process.send_signal(number)
        started = time.monotonic()
        output = process.stdout.read()
        assert process.wait(timeout=30) == 128 + number, output
        assert time.monotonic() - started < 15
    assert processes_in(toy) == []
    assert not any(toy.glob("sow-*.txt"))


def worked(toy: Path, name: str) -> list[float]:
    """Return when a stage began and ended, as it wrote itself."""
    return [float(value) for value in (toy / "times" / name).read_text().split()]
