"""Flow `refresh`, the one that runs by itself: new data in, if they are sound, and everything made from them anew.

Run it as `python -m flows.refresh`; exit codes are those of `flows.command`.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.artifacts import publish, standings
from flows.command import run_here
from flows.crashes import close_crashed_runs, note_this_run
from flows.dag import BAD_INPUT, CommandError, end_state, run_stages
from flows.drift import Drift, measure_drift
from flows.new_data import check_new_data, take_over
from flows.notification import notify
from flows.stage import Session
from pipeline.files import InputError
from pipeline.locks import run_lock
from pipeline.params import load_params
from pipeline.project_copy import NEW_DATA

UNCHANGED = "Unchanged"
OnDrift = Literal["train", "stop"]


@flow(name="refresh", persist_result=False)
def refresh(on_drift: OnDrift = "train") -> State[None]:
    """Fetch what is new, validate it, measure its drift, then train, gate and register what it changes.

    Data that fail validation change nothing: outputs, dvc.lock and champion stay as they are, and the flow ends Failed
    with the line that says why. The same data a second time run no stage but `register`, and the flow ends Unchanged.

    Args:
        on_drift: What new rows lead to that are of another kind than those the champion was trained on: `train` goes
            on and says so, `stop` ends the flow before anything has changed.
    """
    try:
        note_this_run()
        close_crashed_runs()
        load_params(Path("params.yaml"))
        with run_lock("the flow refresh", get_run_logger().warning):
            state = _refresh(on_drift)
    except InputError as error:
        state = Failed(name=BAD_INPUT, message=str(error))
    except CommandError as error:
        state = Failed(message=str(error))
    notify(state)
    return state


def _refresh(on_drift: OnDrift) -> State[None]:
    with Session(os.cpu_count() or 1) as session:
        data = check_new_data(session)
        if (state := end_state(session)).is_failed():
            publish(data.nodes, session)
            return _nothing_changed(state)
        drifts = measure_drift(session, NEW_DATA) if data.changed else []
        _publish_drift(drifts)
        if on_drift == "stop" and any(drift.drifted for drift in drifts):
            return _nothing_changed(Failed(name="Drifted", message="; ".join(map(str, drifts))))
        take_over(data)
    with Session(os.cpu_count() or 1) as session:
        nodes = run_stages([], session)
        publish(nodes, session)
    by_itself = {node.name for node in nodes if not node.always_changed}
    if (state := end_state(session)).is_failed():
        return state
    if all(session.results[name].outcome == "unchanged" for name in by_itself):
        return Completed(name=UNCHANGED, message="nothing changed: same data, parameters and code as the last time")
    return Completed(message="; ".join([str(state.message), *map(str, drifts), *standings()]))


def _nothing_changed(state: State[None]) -> State[None]:
    """Return `state`, a failed one, with a word on what became of the new data."""
    return Failed(name=state.name, message=f"{state.message}; nothing was changed, the new data lie in {NEW_DATA}")


def _publish_drift(drifts: list[Drift]) -> None:
    if drifts:
        rows = [row for drift in drifts for row in drift.rows()]
        about = "New rows against those the champion was trained on"
        create_table_artifact(key="drift", table=rows, description=about)


def main() -> int:
    """Run the flow here and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.refresh", description="New data in, then what they change.")
    parser.add_argument("--on-drift", choices=("train", "stop"), default="train", help="what drifted data lead to")
    return run_here(refresh, vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
