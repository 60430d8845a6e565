"""What all labelling tasks share: rows some of whose tokens carry a label, their loss, what a model says about them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import logging

from pipeline.architectures import ARCHITECTURES, family_of
from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.averaged import averaged
from pipeline.architectures.exported import ExportedModel, is_exported
from pipeline.architectures.model_folder import folders_averaged
from pipeline.files import InputError
from pipeline.params import TaskParams
from pipeline.tasks.labelling_loss import Distributions, LabellingLoss
from pipeline.training.batches import Row, Rows, collate_rows, row_at
from pipeline.training.prediction import Reduce, predict_logits


class Said(NamedTuple):
    """A model's answer to each row; and the choices behind them, as `Distributions` has them, unless among too many.

    written: beginnings of some rows and how a model that writes goes on with them.
    """

    answers: Any
    logits: np.ndarray | None = None
    labels: np.ndarray | None = None
    written: Sequence[tuple[str, str]] = ()


class LabellingTask:
    """A model with a linear layer that gives each target, a token that carries a label, one logit for each class.

    labels: the task's, as params.yaml names them. best: the figure of `score` by which the best state is chosen, and
    its direction. head: the head's name among an architecture's HEADS, where the class of its models stands.
    """

    best: tuple[str, Literal["max", "min"]]
    head: str

    def __init__(self, labels: list[str]) -> None:
        self.labels = labels

    @classmethod
    def from_params(cls, task: TaskParams) -> Self:
        """Return the task that a section of `tasks` describes."""
        return cls(task.labels)

    @property
    def classes(self) -> list[str]:
        """What the logits stand for: the labels."""
        return self.labels

    @property
    def names(self) -> dict[str, Any]:
        """What a model's configuration says of the classes."""
        return {
            "id2label": dict(enumerate(self.classes)),
            "label2id": {name: index for index, name in enumerate(self.classes)},
        }

    def from_pretrained(self, folder: Path, *, dropout: float, seed: int) -> PreTrainedModel:
        """Put a new head on the encoder in `folder`; whatever of the head is missing there is drawn from `seed`.

        `dropout` is that of hidden states and head; attention maps have none. Raises InputError where weights of the
        encoder itself are missing, or where its family carries no such head.
        """
        architecture = ARCHITECTURES[family_of(folder)]()
        kind = self._kind(folder)
        torch.manual_seed(seed)
        with _without_load_report():
            model, loading = kind.from_pretrained(
                folder,
                **self.names,
                **architecture.dropout_settings(dropout),
                attn_implementation=attention_implementation(),
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
            )
        encoder = "" if model.base_model is model else f"{model.base_model_prefix}."
        missing = [key for key in loading["missing_keys"] if key.startswith(encoder) and "pooler" not in key]
        if missing:
            raise InputError(f"{folder}: no weights for {min(missing)}, expected those of a whole encoder")
        return model

    def load(self, folder: Path, **settings: Any) -> PreTrainedModel:
        """Return the trained model in `folder`, in float32; `settings` are further keywords of `from_pretrained`.

        Where it was exported the graph answers, with a batch's answers as the model has them; where it is of several
        seeds the mean of all.
        """
        if is_exported(folder):
            exported: Any = ExportedModel(folder)
            return cast(PreTrainedModel, exported)
        with _without_load_report():
            members = [
                self._kind(own).from_pretrained(own, dtype=torch.float32, local_files_only=True, **settings)
                for own in folders_averaged(folder)
            ]
        return cast(PreTrainedModel, averaged(members))

    def _kind(self, folder: Path) -> Any:
        family = family_of(folder)
        heads: dict[str, Any] = ARCHITECTURES[family]().HEADS
        if self.head not in heads:
            raise InputError(f"{folder}: a {family} carries no head for {self.head}, expected another family")
        return heads[self.head]

    def described(self, model: PreTrainedModel) -> PreTrainedModel:
        """Return a new `model` that says of itself what the task is: its configuration already does, by `names`."""
        return model

    def start(self, model: PreTrainedModel, tokens: Rows) -> None:
        """Set what a new head knows of its training rows before the first step: here nothing."""

    def rows(self, tokens: Rows) -> "RowSequence":
        """Return token rows and their labels as `collate` takes them."""
        return RowSequence(tokens)

    def collate(self, rows: Sequence[Row], pad_token_id: int) -> dict[str, Tensor]:
        """Return rows as a batch, padded to the longest among them (`pipeline.training.batches.collate_rows`)."""
        return collate_rows(rows, pad_token_id)

    def loss(self, model: PreTrainedModel, label_smoothing: float = 0.0, consistency: float = 0.0) -> LabellingLoss:
        """Return `model` with its loss on labelled rows, for the training loop."""
        return LabellingLoss(self, model, label_smoothing, consistency)

    def label_loss(self, choices: Distributions, label_smoothing: float = 0.0) -> Tensor:
        """Return what choices lose against their labels, (choices,), exactly 0 where the label is -1.

        Here the cross-entropy -log softmax(logits)_label; smoothing mixes in the uniform distribution (Szegedy et al.
        2016, section 7) over what each choice is really among.
        """
        logits, labels, _, real = choices
        logits = logits.float()
        if real is None or not label_smoothing:
            return F.cross_entropy(logits, labels, ignore_index=-1, reduction="none", label_smoothing=label_smoothing)
        of_label = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
        of_all = -F.log_softmax(logits, dim=-1).masked_fill(~real, 0.0).sum(dim=-1) / real.sum(dim=-1)
        return torch.where(labels >= 0, (1 - label_smoothing) * of_label + label_smoothing * of_all, 0.0)

    def distributions(self, logits: Tensor, labels: Tensor, rows: Tensor) -> Distributions:
        """Return what is to be compared with a label, or with another model's: here the classes of each target.

        logits: (targets, classes); labels: of the targets, as token rows have them, -1 where there is none; rows: int64
        (targets,), the row that each target is in.
        """
        return Distributions(logits, labels, rows)

    def reduction(self, tokens: Rows) -> Reduce | None:
        """Return what is kept of the logits of these rows' targets; None keeps them all."""
        return None

    def measured_against(self, actual: Any, tokens: Rows, texts: Sequence[str]) -> Any:
        """Return what answers to `texts` are measured against: `actual`, what the table says of them."""
        return actual

    def ask(self, model: PreTrainedModel, tokens: Rows, texts: Sequence[str], *, batch_size: int, name: str) -> Said:
        """Return what `model`, in float32, says of the token rows of `texts`; `name` stands before progress lines."""
        logits = predict_logits(
            model,
            tokens,
            batch_size=batch_size,
            pad_token_id=model.config.pad_token_id,
            dtype=torch.float32,
            name=name,
        )
        chosen = self.choices(logits, tokens)
        return Said(self.answers(logits, tokens, texts), chosen.logits.numpy(), chosen.labels.numpy())

    def choices(self, logits: np.ndarray, tokens: Rows) -> Distributions:
        """Return the `distributions` of logits, (targets, classes), of the targets of token rows."""
        rows = np.repeat(np.arange(len(tokens)), np.diff(tokens.targets))
        return self.distributions(*(torch.from_numpy(np.array(part)) for part in (logits, tokens.labels, rows)))

    def answers(self, logits: np.ndarray, tokens: Rows, texts: Sequence[str]) -> Any:
        """Return one answer for each text; logits: (targets, classes) of the token rows of the texts."""
        raise NotImplementedError

    def score(self, logits: np.ndarray, tokens: Rows) -> dict[str, float]:
        """Return the figure of `best` and the mean cross-entropy, "loss", of logits (targets, classes)."""
        raise NotImplementedError

    def evaluation(
        self, tokens: Rows, *, batch_size: int, pad_token_id: int, dtype: torch.dtype
    ) -> Callable[[nn.Module], dict[str, float]]:
        """Return what the training loop calls to read dev: the `score` of `module.model` on labelled rows.

        Raises InputError where there are no rows.
        """
        if not len(tokens):
            raise InputError("the dev split has no rows, expected at least one to choose the best state by")
        reduce = self.reduction(tokens)

        def evaluate(module: nn.Module) -> dict[str, float]:
            model: Any = module.model
            logits = predict_logits(
                model, tokens, batch_size=batch_size, pad_token_id=pad_token_id, dtype=dtype, reduce=reduce
            )
            return self.score(logits, tokens)

        return evaluate


class RowSequence(Sequence[Row]):
    """Token rows as `collate` takes them, one by one."""

    def __init__(self, tokens: Rows) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: Any) -> Any:
        found = row_at(self.tokens, row)
        if self.tokens.weights is not None:
            found["weight"] = float(self.tokens.weights[row])
        return found

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 (rows,), by which rows of a batch are made alike."""
        return self.tokens.lengths


@contextlib.contextmanager
def _without_load_report() -> Iterator[None]:
    """Keep transformers from reporting a new head and a dropped one: both are what is wanted here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
