"""What a trained model says: logits of what rows are asked, in their order; the mean loss of a sample."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from pipeline.architectures.classifier import at_targets
from pipeline.training import runtime
from pipeline.training.batches import Collate, pad_rows
from pipeline.training.progress import Progress


class Rows(Protocol):
    """Rows of token ids of unequal length, as `pipeline.tokenization.ragged.TokenRows` holds them."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> np.ndarray: ...

    @property
    def lengths(self) -> np.ndarray: ...

    @property
    def targets(self) -> np.ndarray: ...

    @property
    def positions(self) -> np.ndarray: ...


def predict_logits(
    model: torch.nn.Module,
    rows: Rows,
    *,
    batch_size: int,
    pad_token_id: int,
    dtype: torch.dtype,
    name: str | None = None,
) -> np.ndarray:
    """Return the model's logits, float32 of shape (targets, classes), those of each row's targets in order of `rows`.

    `model` takes `input_ids` and `attention_mask` and returns an object with `logits`, for each row, as
    AutoModelForSequenceClassification has them, or for each token; it is left in the mode (train or eval) it came in.
    Rows are sorted by length first, so that batches carry next to no padding. With `name`, progress lines are printed.
    Raises ValueError when there are no rows.
    """
    if not len(rows):
        raise ValueError("rows: got none, expected at least one to predict")
    order = np.argsort(rows.lengths, kind="stable")
    progress = Progress(name or "", len(rows), step="row", unit="rows")
    device, was_training = next(model.parameters()).device, model.training
    logits: np.ndarray | None = None
    model.eval()
    with torch.inference_mode(), runtime.autocast(dtype):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size].tolist()
            input_ids, attention_mask = pad_rows([rows[row] for row in batch], pad_token_id)
            chosen, positions = targets_of(rows, batch, input_ids.shape[1])
            output = model(input_ids=input_ids.to(device), attention_mask=attention_mask.to(device)).logits
            said = at_targets(output, positions.to(device)).float().cpu().numpy()
            if logits is None:
                logits = np.empty((int(rows.targets[-1]), said.shape[1]), dtype=np.float32)
            logits[chosen] = said
            if progress.advance(len(batch)) and name:
                progress.show(start + len(batch))
    model.train(was_training)
    assert logits is not None
    return logits


def targets_of(rows: Rows, batch: Sequence[int], length: int) -> tuple[np.ndarray, torch.Tensor]:
    """Return which of all targets are those of the rows `batch`, and where their tokens are in the flattened batch.

    Both are int64 (targets of the batch,); `length` is that of the padded batch.
    """
    own = [np.arange(rows.targets[row], rows.targets[row + 1]) for row in batch]
    chosen = np.concatenate(own)
    offsets = np.repeat(np.arange(len(batch)) * length, [len(places) for places in own])
    return chosen, torch.from_numpy(rows.positions[chosen] + offsets)


def mean_loss(
    module: torch.nn.Module,
    rows: Sequence[Any],
    collate: Collate,
    *,
    batch_size: int,
    dtype: torch.dtype,
    generator: np.random.Generator,
) -> float:
    """Return the summed loss of `rows` over their count, in eval mode.

    `module` and `collate` are as `trainer.train` has them; `generator` is what `collate` draws from.
    """
    device, was_training, totals = next(module.parameters()).device, module.training, np.zeros(2)
    module.eval()
    with torch.inference_mode(), runtime.autocast(dtype):
        for start in range(0, len(rows), batch_size):
            batch = collate(list(rows[start : start + batch_size]), generator)
            output = module(**{key: value.to(device) for key, value in batch.items()})
            totals += float(output["loss"]), float(output["count"])
    module.train(was_training)
    return float(totals[0] / max(totals[1], 1.0))
