"""The order of rows that lie in shards: random, but of few shards at a time."""

import math
from collections.abc import Sequence

import numpy as np


class WindowedBatches(Sequence[np.ndarray]):
    """The row indices of each batch of one pass over shards of `counts` rows: every row once.

    The shards are shuffled, each `window` of them in that order are a window, and the rows of a window are shuffled.
    Its order is drawn when a batch of it is asked for, so that any batch can be the first one, and memory holds the
    order of one window, however many rows there are.
    """

    def __init__(self, counts: np.ndarray, window: int, batch_size: int, generator: np.random.Generator) -> None:
        order = generator.permutation(len(counts))
        self.starts, self.counts, self.batch_size = np.cumsum(counts) - counts, counts, batch_size
        self.windows = [order[first : first + window] for first in range(0, len(order), window)]
        self.ends = np.cumsum([counts[shards].sum() for shards in self.windows])
        self.seeds = generator.integers(2**63, size=len(self.windows))
        self.drawn = -1

    def __len__(self) -> int:
        return math.ceil(int(self.ends[-1]) / self.batch_size)

    def __getitem__(self, batch: int) -> np.ndarray:  # type: ignore[override]
        if not 0 <= batch < len(self):
            raise IndexError(f"batch {batch} of {len(self)}")
        begin, end = batch * self.batch_size, min((batch + 1) * self.batch_size, int(self.ends[-1]))
        first, last = np.searchsorted(self.ends, [begin, end - 1], side="right")
        parts = []
        for window in range(first, last + 1):
            rows = self._rows(window)
            before = self.ends[window] - len(rows)
            parts.append(rows[max(0, begin - before) : end - before])
        return np.concatenate(parts)

    def _rows(self, window: int) -> np.ndarray:
        """Return the rows of a window in their order; that of the last one that was asked for is kept."""
        if self.drawn != window:
            shards = self.windows[window]
            rows = [np.arange(self.counts[shard]) + self.starts[shard] for shard in shards]
            self.order = np.random.default_rng(self.seeds[window]).permutation(np.concatenate(rows))
            self.drawn = window
        return self.order
