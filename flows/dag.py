"""The stages of dvc.yaml in one flow run: asked of DVC, run side by side, written down in the lock; how they ended."""

from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.futures import wait
from prefect.states import Completed, Failed

from flows.graph import BusyError, Node, read_graph, write_canonical_lock
from flows.stage import Session, task_of
from pipeline.drivers import dvc, failure, record_seconds
from pipeline.locks import wait_for_dvc

BAD_INPUT = "Bad input"


class CommandError(Exception):
    """A command that is no stage ended badly, such as one that moves DVC's cache; its own line says why."""


def run_stages(targets: Sequence[str], session: Session, *, force: bool = False, pull: bool = False) -> list[Node]:
    """Run the stages that `targets` need, or all, in the current folder; return them, each after its upstreams.

    How each ended is in `session.results`. A failed stage stops what depends on it and nothing else. Raises InputError
    where a target names no stage.
    """
    nodes = _graph(targets, session)
    futures: dict[str, Any] = {}
    for node in nodes:
        upstreams = [futures[name] for name in node.upstreams]
        futures[node.name] = task_of(node, session).submit(node, session, force, pull, wait_for=upstreams)
    wait(list(futures.values()))
    write_canonical_lock()
    record_seconds({name: result.seconds for name, result in session.results.items() if result.outcome == "ran"})
    return nodes


def _graph(targets: Sequence[str], session: Session) -> list[Node]:
    while True:
        try:
            return read_graph(targets)
        except BusyError as error:
            if not wait_for_dvc(str(error).splitlines(), get_run_logger().warning, session.pause):
                raise


def run_dvc(session: Session, *arguments: str) -> None:
    """Run a command of DVC with its lines in the log; raise CommandError where it fails."""
    code, lines = run_command(session, dvc(*arguments))
    if code:
        raise CommandError(f"dvc {arguments[0]}: {failure(None, lines)[1]}")


def run_command(session: Session, command: list[str]) -> tuple[int, list[str]]:
    """Run a command with its lines in the log; return its exit code and the lines."""
    logger = get_run_logger()
    lines: list[str] = []
    with session.process(command) as child:
        assert child.stdout is not None
        for line in map(str.rstrip, child.stdout):
            lines.append(line)
            logger.info(line)
        return child.wait(), lines


def end_state(session: Session) -> State[None]:
    """Return how a flow ends whose stages ended as `session` has it: Failed with the line of each that did."""
    results = session.results
    failed = [result for result in results.values() if result.outcome == "failed"]
    if not failed:
        ran = sum(result.outcome == "ran" for result in results.values())
        return Completed(message=f"{ran} of {len(results)} stages ran, the others had not changed")
    name = BAD_INPUT if any(result.code == 2 for result in failed) else "Failed"
    return Failed(name=name, message="; ".join(result.line for result in failed))
