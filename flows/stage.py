"""One node of the graph as a Prefect task: a subprocess of its own, its lines in Prefect's log, ended as a group."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed, Failed

from flows.graph import Node
from pipeline.drivers import Outcome, dvc, failure, forget_failures, is_chatter, left_no_word, outcome_in, start, stop
from pipeline.locks import mend_dvc_lock, wait_for_dvc
from pipeline.outcomes import write_outcomes


class StageInterruptedError(Exception):
    """A stage ended without saying why: a second try can help."""


@dataclass(frozen=True)
class StageResult:
    """How a node ended: what it did, for how many seconds, and for a failure its exit code and line."""

    outcome: Outcome | str
    seconds: float
    code: int = 0
    line: str = ""


class Session:
    """What the tasks of one flow run share: a budget of threads, the running processes, the results."""

    def __init__(self, threads: int) -> None:
        self.results: dict[str, StageResult] = {}
        self._budget = threads
        self._free = threads
        self._running: set[subprocess.Popen[str]] = set()
        self._cancelled = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def threads(self, count: int) -> Iterator[None]:
        """Hold `count` threads of the budget, at most all of it; wait until they are free."""
        count = min(count, self._budget)
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()

    @contextlib.contextmanager
    def process(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        """Start `command` unless the flow was cancelled, and leave none of its processes behind."""
        with self._changed:
            if self._cancelled:
                raise SystemExit("the flow was cancelled")
            child = start(command)
            self._running.add(child)
        with child:  # closes its pipe at the end
            try:
                yield child
            finally:
                stop(child)
                with self._changed:
                    self._running.discard(child)

    def note(self, name: str, result: StageResult) -> None:
        """Keep how a node ended, and tell the report, which `register` writes while others may still run."""
        with self._changed:
            self.results[name] = result
            write_outcomes({name: (result.outcome, result.seconds) for name, result in self.results.items()})

    def pause(self, seconds: float) -> None:
        """Let time pass, unless the flow was cancelled."""
        with self._changed:
            if self._changed.wait_for(lambda: self._cancelled, seconds):
                raise SystemExit("the flow was cancelled")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Where the block raised, end what runs, before anybody else may start."""
        if error:
            self.cancel()

    def cancel(self) -> None:
        """Start nothing more and end what runs."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()
            running = list(self._running)
        for child in running:
            stop(child)

    def may_retry(self, task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:
        """Prefect's `retry_condition_fn`: never after a cancel."""
        return not self._cancelled


def task_of(node: Node, session: Session) -> Task[..., State[None]]:
    """Return the Prefect task of a node, named after it. DVC is the cache, so Prefect keeps nothing."""
    decorate = task(
        name=node.name,
        task_run_name=node.name,
        description=node.description,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=1,
        retry_delay_seconds=2,
        retry_condition_fn=session.may_retry,
    )
    return decorate(_run_stage)


def _run_stage(node: Node, session: Session, force: bool, pull: bool) -> State[None]:
    if not (node.changed or force):
        session.note(node.name, StageResult("unchanged", 0.0))
        return Completed(name="Cached", message="nothing it depends on has changed")
    with session.threads(node.threads):
        result = _reproduce(node, session, force, pull)
    session.note(node.name, result)
    if result.outcome == "failed":
        return Failed(message=result.line)
    return Completed(name="Completed" if result.outcome == "ran" else "Cached", message=result.outcome)


def _reproduce(node: Node, session: Session, force: bool, pull: bool) -> StageResult:
    logger = get_run_logger()
    options = [option for option, chosen in {"--force": force, "--pull": pull}.items() if chosen]
    while True:
        started = time.monotonic()
        code, outcome, lines = _repro(node, session, options)
        seconds = time.monotonic() - started
        if code == 0:
            return StageResult(outcome, seconds)
        if not (mend_dvc_lock(logger.warning) or wait_for_dvc(lines, logger.warning, session.pause)):
            break
    code, line = failure(node.name, lines)
    failed = StageResult("failed", seconds, code, line)
    session.note(node.name, failed)
    # a stage that reported an error would report it again; one that could not may do better
    if left_no_word(node.name) and "ended without a word" in line:
        raise StageInterruptedError(line)
    return failed


def _repro(node: Node, session: Session, options: list[str]) -> tuple[int, Outcome, list[str]]:
    """Run DVC once; return its exit code, what it did and its lines."""
    logger = get_run_logger()
    forget_failures([node.name])
    outcome: Outcome = "unchanged"
    lines: list[str] = []
    with session.process(dvc("repro", "--single-item", *options, node.name)) as child:
        assert child.stdout is not None
        for line in map(str.rstrip, child.stdout):
            lines.append(line)
            if announced := outcome_in(line):
                outcome = announced[1]
            elif not is_chatter(line):
                logger.info(line)
        return child.wait(), outcome, lines
