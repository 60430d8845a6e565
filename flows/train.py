"""Flow `train`: the whole DAG of dvc.yaml, independent branches side by side. Run it as `python -m flows.train`.

Its parameters choose what runs, never a hyperparameter. Exit codes: 0 done, 1 a failure, 2 something wrong with the
user's input, 130 and 143 ended by Ctrl-C and SIGTERM.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.futures import wait
from prefect.states import Completed, Failed

from flows.crashes import close_crashed_runs, note_this_run
from flows.graph import BusyError, Node, check_remote, read_graph, write_canonical_lock
from flows.server import start_server
from flows.stage import Session, StageResult, task_of
from pipeline.drivers import dvc, failure, record_seconds
from pipeline.files import InputError
from pipeline.locks import run_lock, wait_for_dvc
from pipeline.params import load_params
from pipeline.processes import end_with_make

BAD_INPUT = "Bad input"


class CacheError(Exception):
    """DVC could not move its cache to the remote or from there; its own line says why."""


@flow(name="train", persist_result=False)
def train(targets: list[str] | None = None, force: bool = False, pull: bool = False, push: bool = False) -> State[None]:
    """Run the stages that `targets` need, or all; `force` runs unchanged ones too, `pull` and `push` move the cache.

    A failed stage stops what depends on it and nothing else; the flow then ends Failed with the line of each.
    """
    session = Session(os.cpu_count() or 1)
    logger = get_run_logger()
    try:
        note_this_run()
        close_crashed_runs()
        load_params(Path("params.yaml"))
        with run_lock("the flow train", logger.warning), session:
            if pull or push:
                check_remote()
            if pull:
                _dvc(session, "pull", "--run-cache", "--allow-missing")
            nodes = _graph(targets or [], session)
            _run(nodes, session, force, pull)
            write_canonical_lock()
            ran = {name: result.seconds for name, result in session.results.items() if result.outcome == "ran"}
            record_seconds(ran)
            _publish(nodes, session.results)
            if push:
                _dvc(session, "push", "--run-cache")
    except InputError as error:
        return Failed(name=BAD_INPUT, message=str(error))
    except CacheError as error:
        return Failed(message=str(error))
    return _end_state(session.results)


def _graph(targets: list[str], session: Session) -> list[Node]:
    while True:
        try:
            return read_graph(targets)
        except BusyError as error:
            if not wait_for_dvc(str(error).splitlines(), get_run_logger().warning, session.pause):
                raise


def _run(nodes: list[Node], session: Session, force: bool, pull: bool) -> None:
    futures: dict[str, Any] = {}
    for node in nodes:
        upstreams = [futures[name] for name in node.upstreams]
        futures[node.name] = task_of(node, session).submit(node, session, force, pull, wait_for=upstreams)
    wait(list(futures.values()))


def _dvc(session: Session, *arguments: str) -> None:
    logger = get_run_logger()
    lines: list[str] = []
    with session.process(dvc(*arguments)) as child:
        assert child.stdout is not None
        for line in map(str.rstrip, child.stdout):
            lines.append(line)
            logger.info(line)
        if child.wait():
            raise CacheError(f"dvc {arguments[0]}: {failure(None, lines)[1]}")


def _publish(nodes: list[Node], results: dict[str, StageResult]) -> None:
    rows: list[dict[str, Any]] = []
    for node in nodes:
        result = results.get(node.name, StageResult("not run", 0.0, line="something it needs failed"))
        rows.append(
            {"stage": node.name, "outcome": result.outcome, "seconds": round(result.seconds, 1), "note": result.line}
        )
    create_table_artifact(key="stages", table=rows, description="What each stage of dvc.yaml did in this run")
    for key, page in {"report": Path("reports/index.html"), "summary": Path("reports/summary.json")}.items():
        if page.is_file():
            create_link_artifact(key=key, link=page.resolve().as_uri(), link_text=str(page))


def _end_state(results: dict[str, StageResult]) -> State[None]:
    failed = [result for result in results.values() if result.outcome == "failed"]
    if not failed:
        ran = sum(result.outcome == "ran" for result in results.values())
        return Completed(message=f"{ran} of {len(results)} stages ran, the others had not changed")
    name = BAD_INPUT if any(result.code == 2 for result in failed) else "Failed"
    return Failed(name=name, message="; ".join(result.line for result in failed))


def main() -> int:
    """Run the flow here and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.train", description="The stages of dvc.yaml as a flow.")
    parser.add_argument("targets", nargs="*", help="stages to run with what they need; all by default")
    parser.add_argument("--force", action="store_true", help="run unchanged stages too")
    parser.add_argument("--pull", action="store_true", help="fetch DVC's cache first")
    parser.add_argument("--push", action="store_true", help="send DVC's cache afterwards")
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
    chosen = vars(parser.parse_args())
    end_with_make()
    try:
        start_server()
        state = train(**chosen, return_state=True)
    except KeyboardInterrupt:
        return 130
    if state.is_completed():
        return 0
    print(state.message, file=sys.stderr)
    return 2 if state.name == BAD_INPUT else 1


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
