"""The account of rows that leave a dataset while it is made."""

from collections import Counter
from collections.abc import Iterable

EXAMPLES = 20


class Removed:
    """Rows that left, and why: a count per reason, and the first ids where the rows still had a text."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, list[str]] = {}

    def add(self, reason: str, ids: Iterable[str | None]) -> None:
        """Note one row per id; None for a row without one."""
        ids = list(ids)
        if ids:
            self._counts[reason] += len(ids)
            first = self._first.setdefault(reason, [])
            first[:] = sorted({*first, *filter(None, ids)})[:EXAMPLES]

    def report(self) -> dict[str, dict[str, object]]:
        """Return {reason: {"rows": count, "examples": the first ids in order}}."""
        return {reason: {"rows": count, "examples": self._first[reason]} for reason, count in self._counts.items()}
