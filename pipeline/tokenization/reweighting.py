"""Re-weighting: rows count so that a label says nothing of the group that a text is of, and no text is changed.

Source: Kamiran & Calders 2012, "Data preprocessing techniques for classification without discrimination", section 4.2.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.swaps import swap
from pipeline.tokenization.augmentation import GROUPS


def balancing_weights(groups: Sequence[str], labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the weight P(group) P(label) / P(group, label) of each row, float32 (rows,).

    With these weights group and label are independent, and each group and each label weigh as much as they have rows,
    but for combinations of which there is no row.
    """
    _, group, of_group = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    _, label, of_label = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    together = np.zeros((len(of_group), len(of_label)))
    np.add.at(together, (group, label), 1)
    return (of_group[group] * of_label[label] / (len(group) * together[group, label])).astype(np.float32)


def groups_by_terms(texts: Sequence[str], name: str) -> list[str]:
    """Return whom each text speaks of by the terms of the group `name`: `first`, `second`, `both` or `neither` side.

    The terms are those that augmentation exchanges, and none that is measured by.
    """
    (group,) = (one for one in GROUPS if one.name == name)
    sides = {1: "first", -1: "second", 0: "both"}
    return [sides[made.direction] if (made := swap(text, group)) else "neither" for text in texts]
