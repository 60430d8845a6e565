"""What a trained model says: logits of what rows are asked, in their order; the mean loss of a sample."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from pipeline.architectures.classifier import accepted, at_targets, logits_of, target_logits
from pipeline.training import runtime
from pipeline.training.batches import Collate, Row, Rows, collate_rows, row_at
from pipeline.training.progress import Progress

# from logits (targets of a batch, classes) and which of all targets these are, int64: (targets of the batch, figures)
Reduce = Callable[[torch.Tensor, np.ndarray], torch.Tensor]


def predict_logits(
    model: torch.nn.Module,
    rows: Rows,
    *,
    batch_size: int,
    pad_token_id: int,
    dtype: torch.dtype,
    name: str | None = None,
    reduce: Reduce | None = None,
) -> np.ndarray:
    """Return the model's logits, float32 of shape (targets, classes), those of each row's targets in order of `rows`.

    Where there are too many classes to keep, `reduce` says what is kept of each batch's logits in their place.

    `model` takes what `collate_rows` makes of rows and returns an object with `logits`, for each row, as
    AutoModelForSequenceClassification has them, or for each token; it is left in the mode (train or eval) it came in.
    Rows are sorted by length first, so that batches carry next to no padding. With `name`, progress lines are printed.
    Raises ValueError when there are no rows.
    """
    if not len(rows):
        raise ValueError("rows: got none, expected at least one to predict")
    order = np.argsort(rows.lengths, kind="stable")
    progress = Progress(name or "", len(rows), step="row", unit="rows")
    was_training = model.training
    logits: np.ndarray | None = None
    model.eval()
    with torch.inference_mode(), runtime.autocast(dtype):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size].tolist()
            inputs, positions = model_inputs(model, rows, batch, pad_token_id)
            chosen = targets_of(rows, batch)
            if reduce is None:
                said = at_targets(logits_of(model(**inputs)), positions).float().cpu().numpy()
            else:  # many classes: they are computed where they are asked for alone
                said = reduce(target_logits(model, inputs, positions).float(), chosen).cpu().numpy()
            if logits is None:
                logits = np.empty((int(rows.targets[-1]), said.shape[1]), dtype=np.float32)
            logits[chosen] = said
            if progress.advance(len(batch)) and name:
                progress.show(start + len(batch))
    model.train(was_training)
    assert logits is not None
    return logits


def model_inputs(
    model: torch.nn.Module, rows: Rows, batch: Sequence[int], pad_token_id: int
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return what `model` reads of the rows `batch`, and where their targets are in the flattened batch.

    Both are on the model's device, the inputs as `collate_rows` makes them, positions int64 (targets of the batch,).
    """
    return inputs_of(model, [row_at(rows, row) for row in batch], pad_token_id)


def inputs_of(
    model: torch.nn.Module, rows: Sequence[Row], pad_token_id: int, length: int = 0
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return what `model` reads of all of `rows`, as `model_inputs` does, padded to at least `length` tokens."""
    device = next(model.parameters()).device
    collated = collate_rows(rows, pad_token_id, length)
    inputs = {name: value.to(device) for name, value in collated.items() if name != "labels"}
    positions = inputs.pop("positions")
    return accepted(model, inputs), positions


def writes(model: Any) -> bool:
    """Whether a model was made to write a text for another one: its configuration has a name for what it writes."""
    purposes = getattr(model.config, "task_specific_params", None) or {}
    return any("answer" in purpose for purpose in purposes.values())


def prompts(model: Any, rows: Rows, batch: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return what `model.generate` reads of the rows `batch`.

    A decoder alone goes on behind the last token of a row, so its rows are padded before the first.
    """
    inputs, _ = model_inputs(model, rows, batch, model.config.pad_token_id)
    if model.config.is_encoder_decoder:
        return inputs
    padding = (inputs["attention_mask"] == 0).sum(dim=1).tolist()
    return {
        name: torch.stack([row.roll(places) for row, places in zip(value, padding, strict=True)])
        for name, value in inputs.items()
    }


def targets_of(rows: Rows, batch: Sequence[int]) -> np.ndarray:
    """Return which of all targets are those of the rows `batch`, int64 (targets of the batch,)."""
    return np.concatenate([np.arange(rows.targets[row], rows.targets[row + 1]) for row in batch])


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
