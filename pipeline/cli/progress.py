"""What a person sees while the stages run: which one, how far, for how long, how long to go."""

import re
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.drivers import Outcome, expected_seconds
from pipeline.params import read_yaml

SILENCE = 30.0  # seconds without a line after which one is printed where nobody sees a moving status


def planned_stages(values: dict[str, Any] | None = None) -> dict[str, str]:
    """Return {stage: description} of dvc.yaml in its order, `foreach` written out by params.yaml or other `values`.

    DVC itself takes seconds for it.
    """
    definition, values = read_yaml(Path("dvc.yaml")), values or read_yaml(Path("params.yaml"))
    stages: dict[str, str] = {}
    for name, stage in definition["stages"].items():
        if "foreach" not in stage:
            stages[name] = stage.get("desc", "")
            continue
        items = stage["foreach"]
        keys = values[items.removeprefix("${").removesuffix("}")] if isinstance(items, str) else items
        for key in keys:
            stages[f"{name}@{key}"] = re.sub(r"\$\{(key|item)\}", str(key), stage["do"].get("desc", ""))
    return stages


class Progress:
    """A status line that moves on a terminal; plain lines elsewhere. Counts what it is told of DVC's outcomes."""

    def __init__(self, stages: dict[str, str], *, whole: bool) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.seconds: dict[str, float] = {}  # how long each stage that ran took
        self.outcomes: dict[str, Outcome] = {}
        self.current: str | None = None
        self._stages, self._whole = stages, whole
        self._expected = expected_seconds(stages)
        self._seen: set[str] = set()
        self._started = self._current_started = self._last_line = time.monotonic()
        self._ended = threading.Event()
        moving = Live(get_renderable=self._status, console=self.console, transient=True)
        self._live = moving if self.console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        else:
            threading.Thread(target=self._break_silence, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._live:
            self._live.stop()

    def stage(self, name: str, outcome: Outcome) -> None:
        """Note that DVC came to a stage, and what it does with it."""
        self.stage_ended()
        if name not in self._stages:  # a file that `dvc add` tracks
            return
        self._seen.add(name)
        self.outcomes[name] = outcome
        if outcome == "ran":
            self.current, self._current_started = name, time.monotonic()
            note = self._time_left()
        else:
            note = "unchanged" if outcome == "unchanged" else "restored from the cache"
        self.line(f"{self._position()} {name}: {self._stages[name]} ({note})", style="bold")

    def stage_ended(self) -> None:
        """Note that the stage that ran has ended."""
        if self.current:
            self.seconds[self.current] = time.monotonic() - self._current_started
            self.current = None

    def line(self, text: str, style: str = "") -> None:
        """Print one line above the status."""
        self._last_line = time.monotonic()
        self.console.print(Text(text, style=style))

    def _position(self) -> str:
        return f"[{len(self._seen)}/{len(self._stages)}]" if self._whole else f"[{len(self._seen)}]"

    def _time_left(self) -> str:
        so_far = f"{_duration(time.monotonic() - self._started)} so far"
        if not self._whole:
            return so_far
        later = sum(self._expected[name] for name in self._stages if name not in self._seen)
        now = self._expected[self.current] - (time.monotonic() - self._current_started) if self.current else 0.0
        if now < 0:
            return f"{so_far}, this stage takes longer than expected, then about {_duration(later)} to go"
        return f"{so_far}, about {_duration(now + later)} to go"

    def _status(self) -> Text:
        return Text(f"{self._position()} {self.current or 'looking for what changed'}: {self._time_left()}", "cyan")

    def _break_silence(self) -> None:
        while not self._ended.wait(1.0):
            if time.monotonic() - self._last_line >= SILENCE:
                self.line(str(self._status()))


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
