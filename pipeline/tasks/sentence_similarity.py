"""How alike two texts are, each encoded by itself. torch, transformers and numpy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.tasks.labelling import LabellingTask, Said
from pipeline.tasks.labelling_loss import Distributions
from pipeline.training.batches import Rows


class SentenceSimilarity(LabellingTask):
    """Cosine of two texts' vectors, trained to be their score (Reimers & Gurevych 2019, section 3, regression).

    There are no classes: the one logit of a row is the cosine, its label the score, between 0 and 1.
    """

    best = ("spearman", "max")
    head = "sentence_similarity"

    @property
    def names(self) -> dict[str, Any]:
        """What a model's configuration says: one number comes out."""
        return {"num_labels": 1}

    def label_loss(self, choices: Distributions, label_smoothing: float = 0.0) -> Tensor:
        """Return (cosine - score)², (rows,), 0 where the score is -1 (unlabelled)."""
        squares = (choices.logits.float().squeeze(-1) - choices.labels.float()).square()
        return torch.where(choices.labels >= 0, squares, 0.0)

    def ask(self, model: PreTrainedModel, tokens: Rows, texts: Sequence[str], *, batch_size: int, name: str) -> Said:
        """Return the cosines of the rows; there are no choices behind them."""
        return Said(super().ask(model, tokens, texts, batch_size=batch_size, name=name).answers)

    def answers(self, logits: np.ndarray, tokens: Rows, texts: Sequence[str]) -> np.ndarray:
        """Return the cosine of each row, float64 (rows,), from logits (rows, 1)."""
        return logits[:, 0].astype(np.float64)

    def score(self, logits: np.ndarray, tokens: Rows) -> dict[str, float]:
        """Return Spearman's rank correlation of cosines and scores, and the mean squared difference, "loss"."""
        cosines = self.answers(logits, tokens, [])
        return {
            "spearman": _correlation(_ranks(cosines), _ranks(tokens.labels)),
            "loss": float(np.mean((cosines - tokens.labels) ** 2)),
        }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation of two columns, 0 where one of them never changes."""
    first, second = first - first.mean(), second - second.mean()
    norm = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / norm) if norm else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return each value's rank, equal ones sharing the mean of theirs; (rows,)."""
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[place]
