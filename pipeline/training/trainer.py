"""The one training loop, on transformers' Trainer: whole batches in, one division per step, resumable to the bit.

Trainer runs the steps. What makes a run ours stands here and in monitor.py: losses are sums, divided once by the count
over the whole batch; which rows a step sees is a function of seed and step alone; dev is read at fixed steps.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainingArguments, get_scheduler

from pipeline.processes import rank
from pipeline.training import ranks
from pipeline.training import runtime as machine
from pipeline.training.batches import Batches, Collate, Order
from pipeline.training.checkpoints import require_room
from pipeline.training.monitor import Monitor, Record
from pipeline.training.sharding import sharded
from pipeline.training.snapshots import whole

if TYPE_CHECKING:
    from pipeline.params import OptimizationParams, RuntimeParams

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def train(
    module: nn.Module,
    rows: Sequence[Any],
    collate: Collate,
    *,
    training: "OptimizationParams",
    runtime: "RuntimeParams",
    checkpoints: Path,
    steps: int | None = None,
    lengths: np.ndarray | None = None,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    select: tuple[str, Literal["max", "min"]] | None = None,
    log: Callable[[Record], None] = lambda record: None,
    name: str = "train",
    micro_batches: int = 1,
    order: Order | None = None,
) -> list[Record]:
    """Train `module` in place and return the history: flat records of "step", "split" ("train" or "dev") and figures.

    module: its forward takes a collated batch as keywords and returns {"loss": sum over the counted items,
        "count": how many were counted}; the gradient is that of the sum divided by the count of the whole batch.
    rows: anything with `len` and `rows[int]`; `collate(list of rows, generator)` makes the batch. The numpy generator
        is seeded by seed and step: what is drawn from it is drawn again after a resume.
    training: optimizer and schedule. Its `epochs` give the number of steps unless `steps` does; `patience` stops early.
    lengths: tokens of each row; batches then hold rows of nearly equal length.
    checkpoints: this run's own folder. A run that was killed goes on from the newest complete checkpoint and ends
        with the bits it would have ended with; a finished one is loaded.
    evaluate: called `training.evaluations` times, evenly over the run, with the module in eval mode and without
        gradients; its figures become a "dev" record.
    select: a figure of `evaluate` and its direction; the module ends with the weights of the best evaluation.
    log: gets each record as it is made. name: stands at the start of the progress lines.
    runtime: its `distributed` says how the processes that torchrun has started train together: each computes its share
        of every batch, and the gradient is that of one process. The first one reads dev, writes and returns the
        history; only there does `module` end with the right weights.
    micro_batches: parts that each batch is computed in, one after the other, to fit into memory.
    order: makes the batches of a pass where not any row may come at any time.

    Raises FloatingPointError when the loss is no longer a number, InputError where the disk cannot hold checkpoints.
    """
    if steps is None:
        epochs: int | None = getattr(training, "epochs", None)
        if epochs is None:
            raise TypeError("steps: got None, expected a number where training has no epochs")
        steps = epochs * math.ceil(len(rows) / training.batch_size)
    module.to(machine.device())
    batches = Batches(rows, collate, lengths, training.batch_size, runtime.seed, steps, micro_batches)
    batches.rank, batches.ranks, batches.order = rank(), ranks.count(), order
    trained = sharded(module) if ranks.count() > 1 and runtime.distributed == "fsdp" else module
    monitor = Monitor(
        module, trained, batches, training, checkpoints, evaluate=evaluate, select=select, log=log, name=name
    )
    if not monitor.finished():
        if rank() == 0:
            require_room(checkpoints, module)
        loop = Loop(trained, batches, monitor, training, machine.autocast_dtype(runtime), runtime.seed)
        loop.train()
        monitor.finish()
    module.eval()
    return monitor.history


class Loop(Trainer):
    """transformers' Trainer with sums for losses, its own saving, logging and evaluation left to `monitor`."""

    def __init__(
        self,
        module: nn.Module,
        batches: Batches,
        monitor: Monitor,
        training: "OptimizationParams",
        dtype: torch.dtype,
        seed: int,
    ) -> None:
        optimizer = torch.optim.AdamW(parameter_groups(module, training), lr=training.learning_rate, fused=True)
        warmup = round(training.warmup_share * batches.steps)
        schedule = get_scheduler(SCHEDULES[training.schedule], optimizer, warmup, batches.steps)
        arguments = TrainingArguments(
            output_dir=str(monitor.folder),
            max_steps=batches.steps,
            max_grad_norm=training.max_gradient_norm,
            seed=seed,
            use_cpu=machine.device().type == "cpu",
            report_to="none",
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            logging_nan_inf_filter=False,  # it looks at the loss, and so waits for the device, at every step
            disable_tqdm=True,
        )
        super().__init__(module, arguments, callbacks=[monitor], optimizers=(optimizer, schedule))
        self.batches, self.monitor, self.dtype = batches, monitor, dtype

    def get_train_dataloader(self) -> Batches:  # type: ignore[override]
        """Return the batches as they are: no workers, no second shuffle."""
        return self.batches

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Add up the gradients of the summed losses of all micro-batches; return the mean loss."""
        totals = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for part, counts in inputs["parts"]:
            batch = {key: value.to(self.args.device) for key, value in part.items()}
            with machine.autocast(self.dtype):
                output = model(**batch)
            if not counts:
                output = {name: value * 0 for name, value in output.items()}
            output["loss"].backward()
            totals[0] += output["loss"].detach()
            totals[1] += output["count"]
        ranks.add_up(totals)
        self.monitor.count(totals, inputs["items"])
        count = totals[1].clamp(min=1.0)
        self.divisor = count / ranks.count()  # the gradients are means over the processes already
        return (totals[0] / count).float()

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        # the division by the count and the clipping share one pass over the gradients
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(gradients)) / self.divisor
        factor = ((self.args.max_grad_norm / (norm + 1e-6)).clamp(max=1.0) / self.divisor).float()
        for gradient in gradients:
            gradient.mul_(factor)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Drop Trainer's own records: they hold times."""


def parameter_groups(module: nn.Module, training: "OptimizationParams") -> list[dict[str, Any]]:
    """Return AdamW's groups: matrices decay, vectors (biases, LayerNorm) do not (Devlin et al. 2019, their code).

    The word embeddings of the transformers models in `module` have a learning rate of their own; at 0 they are frozen,
    so that no gradient is computed for them.
    """
    models = [part for part in module.modules() if isinstance(part, PreTrainedModel)]
    words = {id(weight): weight for model in models for weight in model.get_input_embeddings().parameters()}
    for weight in words.values():
        weight.requires_grad_(training.embeddings_rate > 0)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    others = [parameter for parameter in trained if id(parameter) not in words]
    groups = [
        {"params": [parameter for parameter in others if parameter.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [parameter for parameter in others if parameter.ndim <= 1], "weight_decay": 0.0},
        {
            "params": [parameter for parameter in trained if id(parameter) in words],
            "weight_decay": training.weight_decay,
            "lr": training.embeddings_rate * training.learning_rate,
        },
    ]
    return [group for group in groups if group["params"]]
