"""What happens between two steps of a run: records, evaluations, checkpoints, the progress line."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.files import read_json, write_json
from pipeline.processes import rank
from pipeline.training import checkpoints, ranks, runtime, snapshots
from pipeline.training.batches import Batches
from pipeline.training.progress import Progress

if TYPE_CHECKING:
    from pipeline.params import OptimizationParams

Record = dict[str, Any]
TRAIN_RECORDS = 100  # points of the training curve


class Monitor(TrainerCallback):
    """Keeps the history of one run, reads dev, remembers the best weights, saves and restores all of it.

    Of several processes the first does so. `trained` is what each of them trains, `module` the whole of it: the same
    one, unless the weights are divided.
    """

    def __init__(
        self,
        module: nn.Module,
        trained: nn.Module,
        batches: Batches,
        training: "OptimizationParams",
        folder: Path,
        *,
        evaluate: Callable[[nn.Module], dict[str, float]] | None,
        select: tuple[str, Literal["max", "min"]] | None,
        log: Callable[[Record], None],
        name: str,
    ) -> None:
        self.module, self.trained, self.batches, self.folder = module, trained, batches, folder
        self.evaluate, self.select, self.log, self.name = evaluate, select, log, name
        self.patience: int | None = getattr(training, "patience", None)
        self.seconds_between_checkpoints = 60 * training.checkpoint_minutes
        self.evaluation_steps = {
            round(i * batches.steps / training.evaluations) for i in range(1, training.evaluations + 1)
        }
        self.record_every = math.ceil(batches.steps / TRAIN_RECORDS)
        self.history: list[Record] = []
        self.best: dict[str, torch.Tensor] | None = None
        self.best_value: float | None = None
        self.evaluations_without_gain = 0
        self.totals = torch.zeros(2, dtype=torch.float64)  # loss and count since the last train record
        self.items = 0

    def finished(self) -> bool:
        """Load the result where the run had already ended; else tell that there is something left to do."""
        return ranks.from_first(self._finished)

    def _finished(self) -> bool:
        checkpoint = checkpoints.newest(self.folder)
        if checkpoint is None or not (state := read_json(checkpoint / "state.json"))["finished"]:
            return False
        snapshots.restore(self.module, snapshots.load_tensors(checkpoint / "model.safetensors"))
        self.history = state["history"]
        return True

    def finish(self) -> None:
        """Put the best weights into the module and keep them, so that a stage killed later need not train again."""
        snapshots.gather(self.trained, self.module)
        if rank():
            return
        if self.best is not None:
            snapshots.restore(self.module, self.best)
        with checkpoints.saving(self.folder, self.batches.steps) as checkpoint:
            snapshots.save_tensors(snapshots.tensors_of(self.module), checkpoint / "model.safetensors")
            write_json(checkpoint / "state.json", {"finished": True, "history": self.history})

    def count(self, totals: torch.Tensor, items: int) -> None:
        """Add one step's summed loss and count (a tensor of both), and the tokens or rows it worked through."""
        self.totals = self.totals.to(totals.device) + totals
        self.items += items
        self.line_is_due = self.progress.advance(items)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Go on where the newest complete checkpoint ends."""
        found = ranks.from_first(self._newest)
        snapshots.spread(self.module, self.trained)
        if found is not None:
            self._go_on(*found, state, kwargs["optimizer"], kwargs["lr_scheduler"])
            print(f"{self.name}  goes on from step {state.global_step:,}", flush=True)
        elif rank():
            torch.manual_seed(args.seed + rank())  # other rows, other dropout
        self.batches.start = state.global_step
        unit = "rows" if self.batches.lengths is None else "tokens"
        self.progress = Progress(self.name, self.batches.steps, unit=unit, start=state.global_step)
        self.saved = time.monotonic()
        self.trained.train()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Record, evaluate, save and show what is due after this step."""
        step, scheduler = state.global_step, kwargs["lr_scheduler"]
        if self.line_is_due:
            self.progress.show(step, f"loss {self._loss():.3g}")
        if step % self.record_every == 0 or step in self.evaluation_steps:
            self._record_training(step, scheduler.get_last_lr()[0])
        if step in self.evaluation_steps and self.evaluate is not None:
            self._evaluate(step)
            control.should_training_stop |= self.patience is not None and self.evaluations_without_gain >= self.patience
        done = control.should_training_stop or step == self.batches.steps
        if not done and ranks.from_first(lambda: time.monotonic() - self.saved >= self.seconds_between_checkpoints):
            self._save(step, kwargs["optimizer"], scheduler)

    def _loss(self) -> float:
        loss, count = self.totals.tolist()
        if not math.isfinite(loss):
            raise FloatingPointError(f"{self.name}: the loss is {loss}, expected a number; lower the learning rate")
        return float(loss) / max(count, 1.0)

    def _record_training(self, step: int, learning_rate: float) -> None:
        unit = "rows" if self.batches.lengths is None else "tokens"
        figures = {"loss": self._loss(), "learning_rate": learning_rate, unit: self.items}
        self._keep({"step": step, "split": "train", **figures})
        self.totals = torch.zeros_like(self.totals)

    def _evaluate(self, step: int) -> None:
        snapshots.gather(self.trained, self.module)
        figures = ranks.from_first(self._figures)
        self.trained.train()
        self._keep({"step": step, "split": "dev", **figures})
        if self.select is None:
            return
        figure, direction = self.select
        value = figures[figure] if direction == "max" else -figures[figure]
        if self.best_value is None or value > self.best_value:
            self.best_value, self.evaluations_without_gain = value, 0
            self.best = None if rank() else snapshots.copy_of(self.module)
        else:
            self.evaluations_without_gain += 1

    def _figures(self) -> dict[str, float]:
        assert self.evaluate is not None
        self.module.to(runtime.device()).eval()
        with torch.inference_mode():
            figures = self.evaluate(self.module)
        if self.trained is not self.module:
            self.module.to("cpu")  # the card is the divided weights'
        return figures

    def _keep(self, record: Record) -> None:
        self.history.append(record)
        self.log(record)

    def _save(self, step: int, optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
        snapshots.gather(self.trained, self.module)
        tensors = snapshots.optimizer_tensors(optimizer)
        if rank() == 0:
            with checkpoints.saving(self.folder, step) as checkpoint:
                snapshots.save_tensors(snapshots.tensors_of(self.module), checkpoint / "model.safetensors")
                snapshots.save_tensors(tensors, checkpoint / "optimizer.safetensors")
                if self.best is not None:
                    snapshots.save_tensors(self.best, checkpoint / "best.safetensors")
                state = {
                    "finished": False,
                    "step": step,
                    "groups": optimizer.state_dict()["param_groups"],
                    "schedule": scheduler.state_dict(),
                    "history": self.history,
                    "totals": self.totals.tolist(),
                    "items": self.items,
                    "best_value": self.best_value,
                    "evaluations_without_gain": self.evaluations_without_gain,
                }
                write_json(checkpoint / "state.json", state)
        self.saved = time.monotonic()

    def _newest(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
        """Take the weights of the newest complete checkpoint and return its state and its optimizer's tensors."""
        checkpoint = checkpoints.newest(self.folder)
        if checkpoint is None:
            return None
        state = read_json(checkpoint / "state.json")
        snapshots.restore(self.module, snapshots.load_tensors(checkpoint / "model.safetensors"))
        if state["best_value"] is not None:
            self.best = snapshots.load_tensors(checkpoint / "best.safetensors")
        return state, snapshots.load_tensors(checkpoint / "optimizer.safetensors")

    def _go_on(
        self,
        state: dict[str, Any],
        tensors: dict[str, torch.Tensor],
        trainer: TrainerState,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
    ) -> None:
        snapshots.load_optimizer(optimizer, tensors, state["groups"])
        scheduler.load_state_dict(state["schedule"])
        trainer.global_step, self.history = state["step"], state["history"]
        self.totals, self.items = torch.tensor(state["totals"], dtype=torch.float64), state["items"]
        self.best_value, self.evaluations_without_gain = state["best_value"], state["evaluations_without_gain"]
