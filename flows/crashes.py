"""Flow runs whose process was killed. Nobody tells Prefect, so the next flow or worker of the same checkout does."""

import socket
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, WorkPoolFilter, WorkPoolFilterName
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed
from rich.console import Console

from flows.server import POOL
from pipeline.drivers import STATE
from pipeline.files import read_json, write_json
from pipeline.processes import identity, is_running

NOTES = STATE / "flow_runs"
TIME_TO_BEGIN = timedelta(minutes=2)  # as prefect.yaml has it: by then the run's place is another's


def note_this_run() -> None:
    """Leave a note which process this flow run is, for `close_crashed_runs` of a later one.

    From here on the run also goes on when the worker that reads its lines is killed.
    """
    Console.on_broken_pipe = _be_quiet  # type: ignore[assignment] # rich would end the process
    write_json(NOTES / f"{flow_run.id}.json", {"host": socket.gethostname(), "process": identity()})


def close_crashed_runs() -> None:
    """Close as Crashed what Prefect believes to run in processes of this machine that are gone; forget their notes.

    So are runs that a worker took and never began, because it was killed on the way.
    """
    with get_client(sync_client=True) as client:
        for note in NOTES.glob("*.json"):
            writer = read_json(note)
            if writer["host"] == socket.gethostname() and not is_running(writer["process"]):
                _close(client, UUID(note.stem), f"process {writer['process'].split('-')[0]} was killed")
                note.unlink(missing_ok=True)
        taken = client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": ["PENDING"]}}}),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        )
        for run in taken:
            if run.state and datetime.now(UTC) - run.state.timestamp > TIME_TO_BEGIN:
                _close(client, run.id, "the worker that took it was killed")


def _be_quiet(console: Console) -> None:
    console.quiet = True


def _close(client: SyncPrefectClient, run: UUID, reason: str) -> None:
    try:
        state = client.read_flow_run(run).state
    except ObjectNotFound:  # another server's
        return
    if state is None or not state.is_final():
        client.set_flow_run_state(run, Crashed(message=reason))
    for task in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run]))):
        if task.state is None or not task.state.is_final():
            client.set_task_run_state(task.id, Crashed(message=reason), force=True)
