"""The version that answers: loaded from the registry, and exchanged for another when the alias @champion moves."""

import asyncio
import sys
from types import ModuleType

from pipeline.files import explain
from pipeline.registry import champion
from pipeline.registry.champion import Champion
from pipeline.serving.metrics import Metrics

LOOK_SECONDS = 2.0  # between two looks at the registry
EXAMPLE = "one"  # the first text that a model reads takes longer than those after it; as a question it leaves room


class Reloader:
    """Keeps the champion of a task in memory. `current` is None until the first one is loaded."""

    def __init__(self, mlflow: ModuleType, task: str, metrics: Metrics) -> None:
        self._mlflow, self._task, self._metrics = mlflow, task, metrics
        self.current: Champion | None = None
        self.trouble = "it is being loaded"  # why there is none yet, or why there is no newer one

    async def watch(self) -> None:
        """Look at the registry again and again until this is cancelled; whatever fails there, `current` stays."""
        while True:
            try:
                await self._look()
            except Exception as error:  # a registry that is away, a version that cannot be read
                _, line = explain(error)
                if line != self.trouble:
                    print(f"stillhouse: serve: {line}", file=sys.stderr, flush=True)
                self.trouble = line
                self._metrics.failed_looks.inc()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        version = await asyncio.to_thread(champion.current_version, self._mlflow, self._task)
        if self.current is None or version != self.current.version:
            # beside the one at work; the exchange is one assignment, and batches that have begun keep the old one
            self.current = await asyncio.to_thread(self._load, version)
            self._metrics.loads.inc()
            self._metrics.version.set(version)
            print(f"stillhouse: serve: {self._task} version {version} answers", flush=True)
        self.trouble = ""

    def _load(self, version: int) -> Champion:
        loaded = champion.load(self._mlflow, self._task, version)
        loaded.answer([dict.fromkeys(loaded.inputs, EXAMPLE)])
        return loaded
