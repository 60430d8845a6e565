"""What somebody loses, in the unit of a model's loss, who knows how frequent labels are and nothing of the text."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.tokenization.ragged import TokenRows

Batches = Sequence[dict[str, torch.Tensor]]


def cross_entropy_by_frequency(known: np.ndarray, asked: np.ndarray) -> float:
    """Return what each of the labels `asked` costs in nats by how frequent they are among `known`, on average."""
    counts = 1 + np.bincount(known, minlength=int(asked.max()) + 1)
    return float(-np.log(counts / counts.sum())[asked].mean())


def trivial_pretraining_loss(objective: str, train: Batches, dev: Batches) -> float:
    """Return the loss on batches of dev by the frequencies of train.

    A choice among sentences, or between a next and another one, costs the logarithm of how many there are.
    """
    if objective == "contrastive":
        sizes = np.array([len(batch["input_ids"]) / 2 for batch in dev])
        return float((sizes * np.log(sizes)).sum() / sizes.sum())
    known, asked = (
        torch.cat([batch["labels"][batch["labels"] >= 0] for batch in split]).numpy() for split in (train, dev)
    )
    of_next_sentence = float(np.log(2)) if "next_sentence_labels" in dev[0] else 0.0
    return cross_entropy_by_frequency(known, asked) + of_next_sentence


def trivial_task_loss(type_: str, train: TokenRows, dev: TokenRows) -> float:
    """Return the loss on the rows of dev by the labels of train, knowing how many tokens a row of dev has."""
    if type_ == "question_answering":  # an answer may begin and end anywhere
        return float(np.log(np.diff(dev.targets)).mean())
    if type_ == "sentence_similarity":
        return float(((dev.labels - train.labels.mean()) ** 2).mean())
    if type_ == "multi_label_classification":  # each label by how frequent it is
        columns = zip(train.labels.T, dev.labels.T, strict=True)
        return float(np.mean([cross_entropy_by_frequency(known, asked) for known, asked in columns]))
    return cross_entropy_by_frequency(train.labels, dev.labels)
