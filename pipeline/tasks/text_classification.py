"""One label for a whole text. torch, transformers and numpy alone."""

from collections.abc import Sequence

import numpy as np

from pipeline.tasks.labelling import LabellingTask
from pipeline.tasks.labelling_loss import cross_entropy
from pipeline.training.batches import Rows


class TextClassification(LabellingTask):
    """Sequence classification: a linear layer over [CLS] after BERT's pooler (Devlin et al. 2019, section 4.1)."""

    best = ("accuracy", "max")
    head = "text_classification"

    def answers(self, logits: np.ndarray, tokens: Rows, texts: Sequence[str]) -> np.ndarray:
        """Return the index of the likeliest label of each row, int64 (rows,), from logits (rows, classes)."""
        return logits.argmax(axis=1).astype(np.int64)

    def score(self, logits: np.ndarray, tokens: Rows) -> dict[str, float]:
        """Return accuracy, macro F1 and the mean cross-entropy, "loss", of logits (rows, classes) for labelled rows.

        Macro F1 is the plain mean over classes of 2 tp / (2 tp + fp + fn); a class that neither stands in the labels
        nor is predicted counts 0.
        """
        predicted, labels = logits.argmax(axis=1), tokens.labels
        classes = np.arange(len(self.labels))[:, None]
        hits = np.sum((predicted == classes) & (labels == classes), axis=1)
        named = np.sum(predicted == classes, axis=1) + np.sum(labels == classes, axis=1)
        return {
            "accuracy": float(np.mean(predicted == labels)),
            "macro_f1": float(np.mean(2 * hits / np.maximum(named, 1))),
            "loss": cross_entropy(logits, labels),
        }
