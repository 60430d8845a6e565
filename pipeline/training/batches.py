"""Which rows stand in which batch, and rows of unequal length as one padded tensor."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np
import torch

POOL = 50  # batches sorted together: enough to leave next to no padding, few enough to keep the order random

# of a batch with "positions", these have a line for each of them; everything else has one for each row
OF_TARGETS = frozenset({"positions", "labels", "teacher_logits", "teacher_likeliest"})

Collate = Callable[[list[Any], np.random.Generator], dict[str, torch.Tensor]]
Order = Callable[[int, np.random.Generator], Sequence[np.ndarray]]  # from the batch size to the rows of each batch


def epoch_batches(
    count: int, batch_size: int, lengths: np.ndarray | None, generator: np.random.Generator
) -> list[np.ndarray]:
    """Return the row indices of each batch of one pass over `count` rows: every row once, shuffled.

    With `lengths` (tokens of each row), rows are sorted within pools of POOL batches, so that a batch holds rows of
    nearly equal length; the batches are shuffled afterwards. There are ceil(count / batch_size) of them.
    """
    order = generator.permutation(count)
    if lengths is not None:
        pools = [order[start : start + POOL * batch_size] for start in range(0, count, POOL * batch_size)]
        order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = [order[start : start + batch_size] for start in range(0, count, batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


@dataclass
class Batches:
    """The batches of a run, one a step from `start` to `steps`: a function of seed and step alone.

    Each is {"parts": micro-batches as `collate` made them and whether they count, "items": tokens in it, or rows where
    lengths are None}. Of several `ranks` each makes the same whole micro-batches, whose masks are thus those of one
    process, and keeps its `share` of them. `order` makes the batches of a pass, `epoch_batches` where it is None.
    """

    rows: Sequence[Any]
    collate: Collate
    lengths: np.ndarray | None
    batch_size: int
    seed: int
    steps: int
    micro_batches: int = 1
    start: int = 0
    rank: int = 0
    ranks: int = 1
    order: Order | None = None

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        per_epoch, epoch = math.ceil(len(self.rows) / self.batch_size), -1
        for step in range(self.start, self.steps):
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                shuffle = np.random.default_rng([self.seed, 0, epoch])
                batches = self._batches(shuffle)
            members = batches[step % per_epoch]
            generator = np.random.default_rng([self.seed, 1, step])
            parts = np.array_split(members, min(self.micro_batches, len(members)))
            collated = [self.collate([self.rows[int(i)] for i in part], generator) for part in parts]
            yield {
                "parts": [share(batch, self.rank, self.ranks) for batch in collated],
                "items": len(members) if self.lengths is None else int(self.lengths[members].sum()),
            }

    def _batches(self, shuffle: np.random.Generator) -> Sequence[np.ndarray]:
        if self.order is not None:
            return self.order(self.batch_size, shuffle)
        return epoch_batches(len(self.rows), self.batch_size, self.lengths, shuffle)


def share(batch: dict[str, torch.Tensor], rank: int, ranks: int) -> tuple[dict[str, torch.Tensor], bool]:
    """Return the rows of a collated batch that one of `ranks` processes computes, and whether they count.

    Neighbours, nearly as many for each. Where there are fewer rows than processes some compute the first one, which
    does not count: all have to take part in a step.
    """
    if ranks == 1:
        return batch, True
    rows = len(next(value for name, value in batch.items() if name not in OF_TARGETS))
    start, stop = rows * rank // ranks, rows * (rank + 1) // ranks
    counts = start < stop
    if not counts:
        start, stop = 0, 1
    if "positions" not in batch:
        return {name: value[start:stop] for name, value in batch.items()}, counts
    length = batch["input_ids"].shape[1]
    own = (batch["positions"] >= start * length) & (batch["positions"] < stop * length)
    shared = {name: value[own] if name in OF_TARGETS else value[start:stop] for name, value in batch.items()}
    return shared | {"positions": shared["positions"] - start * length}, counts


class Rows(Protocol):
    """Rows of token ids whose tokens carry labels, as `pipeline.tokenization.ragged.TokenRows` holds them."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> np.ndarray: ...

    @property
    def lengths(self) -> np.ndarray: ...

    @property
    def seconds(self) -> np.ndarray: ...

    @property
    def owners(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def targets(self) -> np.ndarray: ...

    @property
    def positions(self) -> np.ndarray: ...

    @property
    def weights(self) -> np.ndarray | None: ...


class Row(TypedDict):
    """One row: its token ids (length,), where its second text begins, its labels and their tokens (targets,).

    weight: how much it counts in training, 1 where it is not said.
    """

    input_ids: np.ndarray
    second: int
    labels: np.ndarray
    positions: np.ndarray
    weight: NotRequired[float]


def row_at(rows: Rows, row: int) -> Row:
    """Return one of `rows`."""
    own = slice(rows.targets[row], rows.targets[row + 1])
    return Row(
        input_ids=rows[row],
        second=int(rows.seconds[row]),
        labels=np.array(rows.labels[own]),
        positions=np.array(rows.positions[own]),
    )


def collate_rows(rows: Sequence[Row], pad_token_id: int, length: int = 0) -> dict[str, torch.Tensor]:
    """Pad rows to the longest among them, and to at least `length` tokens.

    Returns input_ids and attention_mask, int64 (rows, length); labels, int64 (targets,), those of all rows; positions,
    int64 (targets,), their tokens in the flattened batch; where rows have a second text token_type_ids, int64
    (rows, length), 1 from there on; and where some have a weight row_weights, float32 (rows,).
    """
    input_ids, attention_mask = pad_rows([row["input_ids"] for row in rows], pad_token_id, length)
    length = input_ids.shape[1]
    positions = [index * length + row["positions"] for index, row in enumerate(rows)]
    batch = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "positions": torch.from_numpy(np.concatenate(positions)),
        "labels": torch.from_numpy(np.concatenate([row["labels"] for row in rows])),
    }
    if any(row["second"] < len(row["input_ids"]) for row in rows):
        seconds = torch.tensor([row["second"] for row in rows])
        batch["token_type_ids"] = (torch.arange(length) >= seconds[:, None]).long() * attention_mask
    if any("weight" in row for row in rows):
        batch["row_weights"] = torch.tensor([row.get("weight", 1.0) for row in rows])
    return batch


def pad_rows(rows: Sequence[np.ndarray], pad_token_id: int, length: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask, padded on the right.

    Both are int64 of shape (rows, tokens), as many tokens as the longest row has and at least `length`.
    """
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(max(lengths.max(), length)) < lengths[:, None]
    ids = np.full(mask.shape, pad_token_id, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
