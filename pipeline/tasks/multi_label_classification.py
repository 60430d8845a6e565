"""Any number of labels for a whole text. torch, transformers and numpy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.tasks.labelling import LabellingTask
from pipeline.tasks.labelling_loss import Distributions, cross_entropy
from pipeline.training.batches import Rows


class MultiLabelClassification(LabellingTask):
    """Sequence classification where each label is a choice of its own, yes or no: a sigmoid for each logit.

    A choice has the logits 0 and z, as softmax([0, z]) is the sigmoid of z and its cross-entropy the binary one: so the
    loss on labels is transformers' for `problem_type="multi_label_classification"`, and the losses of distillation are
    those of two classes for each label. (`logits`, a mean over classes of which one never differs, is half the square.)
    A label is given where its probability is over a half.
    """

    best = ("micro_f1", "max")
    head = "multi_label_classification"

    @property
    def classes(self) -> list[str]:
        """None: what a label's choice is among is yes and no."""
        return []

    @property
    def names(self) -> dict[str, Any]:
        """What a model's configuration says of its logits."""
        return {
            "problem_type": "multi_label_classification",
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: index for index, name in enumerate(self.labels)},
        }

    def start(self, model: PreTrainedModel, tokens: Rows) -> None:
        """Have `model` begin at how frequent each label is, where its head has a bias: that of BERTs, not that of GPTs.

        Else the steps of a short training go into learning that most labels are rare. Source: Lin et al. 2017 (focal
        loss), section 3.3; one row with each label and one without are added to those that there are.
        """
        heads = [part for name, part in model.named_modules() if name.startswith("classifier")]
        biases = [part.bias for part in heads if isinstance(part, nn.Linear) and part.bias is not None]
        labels = np.asarray(tokens.labels)
        if biases and len(labels):
            given, not_given = ((labels == value).sum(axis=0) + 1.0 for value in (1, 0))
            with torch.no_grad():
                biases[-1].copy_(torch.from_numpy(np.log(given / not_given)))

    def distributions(self, logits: Tensor, labels: Tensor, rows: Tensor) -> Distributions:
        """Return a choice for each label of each row, the labels of the first row first; both are (rows, labels)."""
        choices = torch.stack([torch.zeros_like(logits), logits], dim=-1).flatten(0, 1)
        return Distributions(choices, labels.flatten().long(), rows.repeat_interleave(logits.shape[1]))

    def answers(self, logits: np.ndarray, tokens: Rows, texts: Sequence[str]) -> list[frozenset[str]]:
        """Return the labels of each row that are likelier than not, from logits (rows, labels)."""
        return [frozenset(self.labels[index] for index in np.flatnonzero(row > 0)) for row in logits]

    def score(self, logits: np.ndarray, tokens: Rows) -> dict[str, float]:
        """Return micro F1 over all labels of all rows, and the mean binary cross-entropy of a label, "loss".

        logits: (rows, labels). Micro F1 is 1 where labels are neither given nor there.
        """
        given, there = logits > 0, np.asarray(tokens.labels) == 1
        named, choices = given.sum() + there.sum(), self.choices(logits, tokens)
        return {
            "micro_f1": float(2 * (given & there).sum() / named) if named else 1.0,
            "loss": cross_entropy(choices.logits.numpy(), choices.labels.numpy()),
        }
