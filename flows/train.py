"""Flow `train`: the whole DAG of dvc.yaml, independent branches side by side. Run it as `python -m flows.train`.

Its parameters choose what runs, never a hyperparameter. Exit codes are those of `flows.command`.
"""

import argparse
import os
import sys
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.artifacts import publish
from flows.command import run_here
from flows.crashes import close_crashed_runs, note_this_run
from flows.dag import BAD_INPUT, CommandError, end_state, run_dvc, run_stages
from flows.graph import check_remote
from flows.stage import Session
from pipeline.files import InputError
from pipeline.locks import run_lock
from pipeline.params import load_params


@flow(name="train", persist_result=False)
def train(targets: list[str] | None = None, force: bool = False, pull: bool = False, push: bool = False) -> State[None]:
    """Run the stages of dvc.yaml that have changed.

    A failed stage stops what depends on it and nothing else; the flow then ends Failed with the line of each.

    Args:
        targets: Stages to run with what they need; all without any.
        force: Run unchanged stages too.
        pull: Fetch DVC's cache from the remote first.
        push: Send DVC's cache to the remote afterwards.
    """
    session = Session(os.cpu_count() or 1)
    try:
        note_this_run()
        close_crashed_runs()
        load_params(Path("params.yaml"))
        with run_lock("the flow train", get_run_logger().warning), session:
            if pull or push:
                check_remote()
            if pull:
                run_dvc(session, "pull", "--run-cache", "--allow-missing")
            publish(run_stages(targets or [], session, force=force, pull=pull), session)
            if push:
                run_dvc(session, "push", "--run-cache")
    except InputError as error:
        return Failed(name=BAD_INPUT, message=str(error))
    except CommandError as error:
        return Failed(message=str(error))
    return end_state(session)


def main() -> int:
    """Run the flow here and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.train", description="The stages of dvc.yaml as a flow.")
    parser.add_argument("targets", nargs="*", help="stages to run with what they need; all by default")
    parser.add_argument("--force", action="store_true", help="run unchanged stages too")
    parser.add_argument("--pull", action="store_true", help="fetch DVC's cache first")
    parser.add_argument("--push", action="store_true", help="send DVC's cache afterwards")
    return run_here(train, vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
