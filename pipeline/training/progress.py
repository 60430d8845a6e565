"""One short line every few seconds, so that a person watching a stage sees how far it is and how long it takes."""

import time

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Prints `pretrain  42 %  step 210/500  loss 2.31  3,400 tokens/s  0:51 left` to standard output."""

    def __init__(self, name: str, total: int, *, step: str = "step", unit: str = "tokens", start: int = 0) -> None:
        self.name, self.total, self.step, self.unit, self.start = name, total, step, unit, start
        self.started = self.shown = time.monotonic()
        self.items = 0

    def advance(self, items: int) -> bool:
        """Count `items` more units of work and return whether a line is due."""
        self.items += items
        return time.monotonic() - self.shown >= SECONDS_BETWEEN_LINES

    def show(self, done: int, note: str = "") -> None:
        """Print the line for `done` of the total steps; `note` stands in the middle."""
        self.shown = time.monotonic()
        elapsed = self.shown - self.started
        left = round(elapsed / max(done - self.start, 1) * (self.total - done))
        parts = [self.name, f"{100 * done // self.total} %", f"{self.step} {done:,}/{self.total:,}", note]
        parts += [f"{round(self.items / elapsed):,} {self.unit}/s", f"{left // 60}:{left % 60:02d} left"]
        print("  ".join(part for part in parts if part), flush=True)
