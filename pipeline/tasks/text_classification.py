"""One label for a whole text: columns, head, loss, decoding and metric. torch, transformers and numpy alone."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.classifier import class_logits
from pipeline.files import InputError
from pipeline.training.batches import pad_rows
from pipeline.training.prediction import Rows, predict_logits


class LabelledTokens(Rows, Protocol):
    """Rows of token ids, each with an index into the task's labels, -1 where there is none."""

    @property
    def labels(self) -> np.ndarray: ...


class Row(TypedDict):
    """One row as `collate` takes it: token ids (length,) and the index of its label, -1 where there is none."""

    input_ids: np.ndarray
    label: int


@dataclass(frozen=True)
class Prediction:
    """The likeliest label's name and the probability of every label."""

    label: str
    scores: dict[str, float]


class TextClassification:
    """Sequence classification: a linear layer over [CLS] after BERT's pooler (Devlin et al. 2019, section 4.1)."""

    metric = "accuracy"

    def __init__(self, labels: list[str]) -> None:
        self.labels = labels

    def from_pretrained(self, folder: Path, *, dropout: float, seed: int) -> PreTrainedModel:
        """Put a new head on the encoder in `folder`; the pooler, where it has none, and the head are drawn from `seed`.

        `dropout` is that of hidden states and head; attention maps have none. Raises InputError where weights of the
        encoder itself are missing.
        """
        torch.manual_seed(seed)
        with _without_load_report():
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                folder,
                id2label=dict(enumerate(self.labels)),
                label2id={label: index for index, label in enumerate(self.labels)},
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=0.0,
                classifier_dropout=dropout,
                attn_implementation=attention_implementation(),
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
            )
        missing = [key for key in loading["missing_keys"] if "pooler" not in key and not key.startswith("classifier")]
        if missing:
            raise InputError(f"{folder}: no weights for {min(missing)}, expected those of a whole encoder")
        return model

    def rows(self, tokens: LabelledTokens) -> "LabelledRows":
        """Return token rows and their labels as `collate` takes them."""
        return LabelledRows(tokens)

    def loss(
        self, model: PreTrainedModel, label_smoothing: float = 0.0, consistency: float = 0.0
    ) -> "ClassificationLoss":
        """Return `model` with its loss on labelled rows, for the training loop."""
        return ClassificationLoss(model, label_smoothing, consistency)

    def collate(self, rows: Sequence[Row], pad_token_id: int) -> dict[str, Tensor]:
        """Pad rows to the longest among them.

        Returns input_ids and attention_mask, int64 (rows, length), and labels, int64 (rows,).
        """
        input_ids, attention_mask = pad_rows([row["input_ids"] for row in rows], pad_token_id)
        labels = torch.tensor([row["label"] for row in rows], dtype=torch.int64)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}

    def decode(self, logits: np.ndarray) -> list[Prediction]:
        """Return the likeliest label and every label's probability for each row of logits, (rows, classes)."""
        return [
            Prediction(self.labels[int(row.argmax())], dict(zip(self.labels, row.tolist(), strict=True)))
            for row in np.exp(_log_softmax(logits))
        ]

    def score(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Return accuracy, macro F1 and the mean cross-entropy, "loss", of logits (rows, classes) for labels (rows,).

        Macro F1 is the plain mean over classes of 2 tp / (2 tp + fp + fn); a class that neither stands in the labels
        nor is predicted counts 0.
        """
        predicted = logits.argmax(axis=1)
        classes = np.arange(len(self.labels))[:, None]
        hits = np.sum((predicted == classes) & (labels == classes), axis=1)
        named = np.sum(predicted == classes, axis=1) + np.sum(labels == classes, axis=1)
        return {
            "accuracy": float(np.mean(predicted == labels)),
            "macro_f1": float(np.mean(2 * hits / np.maximum(named, 1))),
            "loss": float(-_log_softmax(logits)[np.arange(len(labels)), labels].mean()),
        }

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
            return self.score(logits, tokens.labels)

        return evaluate


class LabelledRows(Sequence[Row]):
    """Token rows and their labels as `collate` takes them."""

    def __init__(self, tokens: LabelledTokens) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: Any) -> Any:
        return Row(input_ids=self.tokens[row], label=int(self.tokens.labels[row]))


class ClassificationLoss(nn.Module):
    """A classifier and its cross-entropy, as a sum over the rows and their count.

    With `consistency`, a row is read twice in training, each time with its own dropout: Wu et al. 2021 (R-Drop),
    equation 4, halved so that the cross-entropy keeps its size.
    """

    def __init__(self, model: nn.Module, label_smoothing: float = 0.0, consistency: float = 0.0) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing, self.consistency = label_smoothing, consistency

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return {"loss", "count"}; smoothing mixes in the uniform distribution (Szegedy et al. 2016, section 7)."""
        readings = 2 if self.consistency and self.training else 1
        logits = class_logits(self.model, input_ids.repeat(readings, 1), attention_mask.repeat(readings, 1)).float()
        loss = F.cross_entropy(logits, labels.repeat(readings), reduction="sum", label_smoothing=self.label_smoothing)
        loss = loss / readings
        if readings == 2:
            loss = loss + self.consistency * disagreement(*logits.chunk(2)).sum()
        return {"loss": loss, "count": torch.tensor(len(labels), device=loss.device)}


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Return ½ (KL(p ‖ q) + KL(q ‖ p)) of each row, zero for equal logits: Wu et al. 2021 (R-Drop), equation 2.

    p and q are the probabilities of two readings of the same rows; logits: (rows, classes).
    """
    p, q = F.log_softmax(first, dim=-1), F.log_softmax(second, dim=-1)
    return ((p.exp() - q.exp()) * (p - q)).sum(dim=-1) / 2


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


@contextlib.contextmanager
def _without_load_report() -> Iterator[None]:
    """Keep transformers from reporting a new head and a dropped one: both are what is wanted here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
