"""Requests that come at the same time are read by the model together: one forward pass costs little more than one row.

One thread runs the model. While it is at work the next requests gather, so the batches grow with the load.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from pipeline.registry.champion import Champion
from pipeline.serving.limits import MAX_WAITING
from pipeline.serving.metrics import Metrics

BATCH_ROWS = 32  # a batch takes no further request once it has as many: what the student computes at a time
GATHERING_SECONDS = 0.002  # what the first request of a batch waits for others

Row = dict[str, str]


class Answered(NamedTuple):
    """The answers to a request's rows, all of one version."""

    version: int
    answers: list[dict[str, Any]]


class Request(NamedTuple):
    """Rows that wait for the model, and where their answers go."""

    rows: list[Row]
    answered: asyncio.Future[Answered]


class UnavailableError(Exception):
    """Nothing is wrong with the request, but now it cannot be answered; the sentence says why."""


class Batcher:
    """Gathers requests into batches and has each answered by the champion of the moment that it begins."""

    def __init__(self, champion: Callable[[], Champion], metrics: Metrics) -> None:
        self._champion, self._metrics = champion, metrics
        self._waiting: deque[Request] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def ask(self, rows: list[Row]) -> Answered:
        """Return the answers to `rows`; raise what the model raises, and UnavailableError where too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            raise UnavailableError(f"busy: {MAX_WAITING} requests wait, come back in a second")
        request = Request(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._metrics.waiting.set(len(self._waiting))
        self._arrived.set()
        return await request.answered

    async def run(self) -> None:
        """Answer batch after batch until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._next_batch()
            outcomes = await loop.run_in_executor(self._thread, self._answer, self._champion(), batch)
            for request, outcome in zip(batch, outcomes, strict=True):
                if request.answered.done():  # whoever asked has gone
                    continue
                if isinstance(outcome, Answered):
                    request.answered.set_result(outcome)
                else:
                    request.answered.set_exception(outcome)

    async def _next_batch(self) -> list[Request]:
        await self._arrived.wait()
        await asyncio.sleep(GATHERING_SECONDS)
        batch: list[Request] = []
        while self._waiting and sum(len(request.rows) for request in batch) < BATCH_ROWS:
            batch.append(self._waiting.popleft())
        if not self._waiting:
            self._arrived.clear()
        self._metrics.waiting.set(len(self._waiting))
        return batch

    def _answer(self, champion: Champion, batch: list[Request]) -> list[Answered | Exception]:
        """Return what came of each request of a batch; runs in the model's thread.

        The champion stays the same to the end of the batch, also when another one has been loaded meanwhile.
        """
        rows = [row for request in batch for row in request.rows]
        started = time.perf_counter()
        try:
            answers = iter(champion.answer(rows))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # one of them is refused, or more: each by itself, so that only those are that are meant
            return [outcome for request in batch for outcome in self._answer(champion, [request])]
        self._metrics.batch_seconds.observe(time.perf_counter() - started)
        self._metrics.batch_requests.observe(len(batch))
        self._metrics.batch_rows.observe(len(rows))
        return [Answered(champion.version, [next(answers) for _ in request.rows]) for request in batch]
