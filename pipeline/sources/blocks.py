"""Rows of a source as columns, some thousand rows at a time."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

BLOCK_ROWS = 2000

Block = dict[str, list[Any]]  # columns by their names, as many values in each


def in_blocks(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[Block]:
    """Yield rows, a value for each of `names`, as columns of at most BLOCK_ROWS rows."""
    rows = iter(rows)
    while block := list(itertools.islice(rows, BLOCK_ROWS)):
        yield {name: list(column) for name, column in zip(names, zip(*block, strict=True), strict=True)}
