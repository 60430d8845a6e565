"""What all labelling tasks share: rows some of whose tokens carry a label, their loss, what a model says about them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import logging

from pipeline.architectures import ARCHITECTURES, family_of
from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.classifier import target_logits
from pipeline.files import InputError
from pipeline.training.batches import pad_rows
from pipeline.training.prediction import Rows, predict_logits


class LabelledTokens(Rows, Protocol):
    """Rows of token ids and the labels that tokens of theirs carry, as pipeline.tokenization.ragged.TokenRows has them.

    A label is an index into the task's classes, -1 where there is none.
    """

    @property
    def labels(self) -> np.ndarray: ...


class Row(TypedDict):
    """One row as `collate` takes it: token ids (length,), its labels and the tokens that carry them, (targets,)."""

    input_ids: np.ndarray
    labels: np.ndarray
    positions: np.ndarray


class LabellingTask:
    """A model with a linear layer that gives each target, a token that carries a label, one logit for each class.

    labels: the task's, as params.yaml names them. classes: what the logits stand for. metric: the figure of `score` by
    which the best state is chosen. head: the head's name among an architecture's HEADS. auto: transformers' class that
    loads a model with that head.
    """

    metric: str
    head: str
    auto: Any

    def __init__(self, labels: list[str], classes: list[str]) -> None:
        self.labels, self.classes = labels, classes

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
        family = family_of(folder)
        architecture = ARCHITECTURES[family]()
        if self.head not in architecture.HEADS:
            raise InputError(f"{folder}: a {family} carries no head for {self.head}, expected another family")
        torch.manual_seed(seed)
        with _without_load_report():
            model, loading = self.auto.from_pretrained(
                folder,
                **self.names,
                **architecture.dropout_settings(dropout),
                attn_implementation=attention_implementation(),
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
            )
        encoder = f"{model.base_model_prefix}."
        missing = [key for key in loading["missing_keys"] if key.startswith(encoder) and "pooler" not in key]
        if missing:
            raise InputError(f"{folder}: no weights for {min(missing)}, expected those of a whole encoder")
        return model

    def load(self, folder: Path, **settings: Any) -> PreTrainedModel:
        """Return the trained model in `folder`, in float32; `settings` are further keywords of `from_pretrained`."""
        model: PreTrainedModel = self.auto.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, **settings
        )
        return model

    def rows(self, tokens: LabelledTokens) -> "LabelledRows":
        """Return token rows and their labels as `collate` takes them."""
        return LabelledRows(tokens)

    def collate(self, rows: Sequence[Row], pad_token_id: int) -> dict[str, Tensor]:
        """Pad rows to the longest among them.

        Returns input_ids and attention_mask, int64 (rows, length); labels, int64 (targets,), those of all rows; and
        positions, int64 (targets,), their tokens in the flattened batch.
        """
        input_ids, attention_mask = pad_rows([row["input_ids"] for row in rows], pad_token_id)
        length = input_ids.shape[1]
        positions = [index * length + row["positions"] for index, row in enumerate(rows)]
        labels = np.concatenate([row["labels"] for row in rows])
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "positions": torch.from_numpy(np.concatenate(positions)),
            "labels": torch.from_numpy(labels),
        }

    def loss(self, model: PreTrainedModel, label_smoothing: float = 0.0, consistency: float = 0.0) -> "LabellingLoss":
        """Return `model` with its loss on labelled rows, for the training loop."""
        return LabellingLoss(model, label_smoothing, consistency)

    def answers(self, logits: np.ndarray, targets: np.ndarray, texts: Sequence[str]) -> Any:
        """Return one answer for each text; logits: (targets, classes), text i's from targets[i] to targets[i + 1]."""
        raise NotImplementedError

    def score(self, logits: np.ndarray, tokens: LabelledTokens) -> dict[str, float]:
        """Return `metric` and the mean cross-entropy, "loss", of logits (targets, classes) for labelled rows."""
        raise NotImplementedError

    def evaluation(
        self, tokens: LabelledTokens, *, batch_size: int, pad_token_id: int, dtype: torch.dtype
    ) -> Callable[[nn.Module], dict[str, float]]:
        """Return what the training loop calls to read dev: the `score` of `module.model` on labelled rows.

        Raises InputError where there are no rows.
        """
        if not len(tokens):
            raise InputError("the dev split has no rows, expected at least one to choose the best state by")

        def evaluate(module: nn.Module) -> dict[str, float]:
            model: Any = module.model
            logits = predict_logits(model, tokens, batch_size=batch_size, pad_token_id=pad_token_id, dtype=dtype)
            return self.score(logits, tokens)

        return evaluate


class LabelledRows(Sequence[Row]):
    """Token rows and their labels as `collate` takes them."""

    def __init__(self, tokens: LabelledTokens) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: Any) -> Any:
        own = slice(self.tokens.targets[row], self.tokens.targets[row + 1])
        return Row(
            input_ids=self.tokens[row],
            labels=np.array(self.tokens.labels[own]),
            positions=np.array(self.tokens.positions[own]),
        )


class LabellingLoss(nn.Module):
    """A model and its cross-entropy, as a sum over the targets and their count.

    With `consistency`, a row is read twice in training, each time with its own dropout: Wu et al. 2021 (R-Drop),
    equation 4, halved so that the cross-entropy keeps its size.
    """

    def __init__(self, model: nn.Module, label_smoothing: float = 0.0, consistency: float = 0.0) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing, self.consistency = label_smoothing, consistency

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, positions: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Return {"loss", "count"}; smoothing mixes in the uniform distribution (Szegedy et al. 2016, section 7)."""
        readings = 2 if self.consistency and self.training else 1
        places = torch.cat([positions + reading * input_ids.numel() for reading in range(readings)])
        inputs = input_ids.repeat(readings, 1), attention_mask.repeat(readings, 1)
        logits = target_logits(self.model, *inputs, places).float()
        loss = F.cross_entropy(logits, labels.repeat(readings), reduction="sum", label_smoothing=self.label_smoothing)
        loss = loss / readings
        if readings == 2:
            loss = loss + self.consistency * disagreement(*logits.chunk(2)).sum()
        return {"loss": loss, "count": torch.tensor(len(labels), device=loss.device)}


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Return ½ (KL(p ‖ q) + KL(q ‖ p)) of each target, zero for equal logits: Wu et al. 2021 (R-Drop), equation 2.

    p and q are the probabilities of two readings of the same targets; logits: (targets, classes).
    """
    p, q = F.log_softmax(first, dim=-1), F.log_softmax(second, dim=-1)
    return ((p.exp() - q.exp()) * (p - q)).sum(dim=-1) / 2


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log softmax(logits)_label in float64; logits: (targets, classes), labels: (targets,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_softmax[np.arange(len(labels)), labels].mean())


@contextlib.contextmanager
def _without_load_report() -> Iterator[None]:
    """Keep transformers from reporting a new head and a dropped one: both are what is wanted here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
