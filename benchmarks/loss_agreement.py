"""The distillation losses beside those of TextBrewer and torchdistill: equal where both define one.

    python benchmarks/loss_agreement.py [--rows 16] [--length 12] [--seed 0]

Installs nothing and needs neither library: one that cannot be imported is left out and named. Made with TextBrewer
0.2.1.post1, which asks for tensorboard, and torchdistill 1.1.5. Values and gradients are compared on random tensors, in
float32. Where a library has another convention, the table says what was done about it: a cross-entropy is a divergence
plus the teacher's entropy, of which the gradient knows nothing; a mean over all tokens of a batch is taken row by row;
a factor T² is put where it is missing. The last line is one JSON object; the program ends with 1 where something
differs.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.distillation.layer_losses import (
    attention_loss,
    hidden_cosine_loss,
    hidden_state_loss,
    relation_loss,
    scaled_products,
)
from pipeline.distillation.losses import logit_mse, soft_label_loss

TEMPERATURE, HEADS, CLASSES, HIDDEN = 2.0, 4, 5, 24
TOLERANCE = 1e-5  # of the value: both are computed in float32


class Pair(NamedTuple):
    """A loss as both define it, of the student's tensor: the mean over rows."""

    loss: str
    library: str
    convention: str
    student: Tensor
    ours: Callable[[Tensor], Tensor]
    theirs: Callable[[Tensor], Tensor]


def found(name: str) -> ModuleType | None:
    """Return a module, None where its package or something that it needs is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        print(f"{name}: left out, {error}")
        return None


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of each softmax of `logits` over its last dimension."""
    return -(logits.softmax(dim=-1) * logits.log_softmax(dim=-1)).sum(dim=-1)


def of_textbrewer(losses: ModuleType, rows: int, length: int) -> Iterator[Pair]:
    """Yield the losses that TextBrewer defines as well."""
    logits, its_logits = torch.randn(rows, CLASSES), 3 * torch.randn(rows, CLASSES)
    softened = its_logits / TEMPERATURE
    yield Pair(
        "soft_labels", "TextBrewer", "kd_ce_loss less the entropy, times T²", logits,
        lambda own: soft_label_loss(own, its_logits, TEMPERATURE).mean(),
        lambda own: TEMPERATURE**2 * (losses.kd_ce_loss(own, its_logits, TEMPERATURE) - entropy(softened).mean()),
    )  # fmt: skip
    yield Pair(
        "logits", "TextBrewer", "kd_mse_loss", logits,
        lambda own: logit_mse(own, its_logits).mean(), lambda own: losses.kd_mse_loss(own, its_logits),
    )  # fmt: skip
    mask = (torch.arange(length) < torch.randint(1, length + 1, (rows, 1))).long()
    states, its_states = torch.randn(rows, length, HIDDEN), torch.randn(rows, length, HIDDEN)

    def row_by_row(loss: Callable[..., Tensor], own: Tensor, its: Tensor) -> Tensor:
        parts = [loss(own[row : row + 1], its[row : row + 1], mask[row : row + 1]) for row in range(rows)]
        return torch.stack(parts).mean()

    def without_padding(own: Tensor, its: Tensor) -> Tensor:
        values = []
        for row, size in enumerate(mask.sum(dim=1).tolist()):
            cut = [scores[row : row + 1, :, :size, :size] for scores in (own, its)]
            # their mean is over tokens and heads, their mask has to be there, else scores below 0 are taken for padding
            cross_entropy = losses.att_ce_loss(*cut, torch.ones(1, size))
            values.append(cross_entropy - entropy(cut[1]).mean())
        return torch.stack(values).mean()

    def scores(own: Tensor) -> Tensor:
        return scaled_products(own, own, HEADS)

    yield Pair(
        "hidden_states", "TextBrewer", "hid_mse_loss, row by row", states,
        lambda own: hidden_state_loss(own, its_states, torch.eye(HIDDEN), mask).mean(),
        lambda own: row_by_row(losses.hid_mse_loss, own, its_states),
    )  # fmt: skip
    yield Pair(
        "hidden_cosines", "TextBrewer", "cos_loss, row by row", states,
        lambda own: hidden_cosine_loss(own, its_states, mask).mean(),
        lambda own: row_by_row(losses.cos_loss, own, its_states),
    )  # fmt: skip
    yield Pair(
        "attentions", "TextBrewer", "att_mse_loss, row by row", states,
        lambda own: attention_loss(scores(own), scores(its_states), mask).mean(),
        lambda own: row_by_row(losses.att_mse_loss, scores(own), scores(its_states)),
    )  # fmt: skip
    yield Pair(
        "attention_distributions", "TextBrewer", "att_ce_loss less the entropy, rows cut", states,
        lambda own: relation_loss(scores(own), scores(its_states), mask).mean(),
        lambda own: without_padding(scores(own), scores(its_states)),
    )  # fmt: skip


def of_torchdistill(losses: ModuleType, rows: int) -> Iterator[Pair]:
    """Yield the losses that torchdistill defines as well."""
    logits, its_logits, labels = (
        torch.randn(rows, CLASSES),
        3 * torch.randn(rows, CLASSES),
        torch.arange(rows) % CLASSES,
    )
    paths = ("logits", "output") * 2
    soft = losses.KDLoss(*paths, temperature=TEMPERATURE, alpha=0.0)
    both = losses.KDLoss(*paths, temperature=TEMPERATURE, alpha=0.3)

    def theirs(loss: Callable[..., Tensor], own: Tensor, targets: Tensor | None = None) -> Tensor:
        return loss({"logits": {"output": own}}, {"logits": {"output": its_logits}}, targets)

    yield Pair(
        "soft_labels", "torchdistill", "KDLoss without labels, times T²", logits,
        lambda own: soft_label_loss(own, its_logits, TEMPERATURE).mean(),
        lambda own: TEMPERATURE**2 * theirs(soft, own),
    )  # fmt: skip
    yield Pair(
        "0.7 soft_labels + 0.3 hard_labels", "torchdistill", "KDLoss, alpha 0.3", logits,
        lambda own: 0.7 * soft_label_loss(own, its_logits, TEMPERATURE).mean() + 0.3 * F.cross_entropy(own, labels),
        lambda own: theirs(both, own, labels),
    )  # fmt: skip


def compared(pair: Pair) -> dict[str, Any]:
    """Return both values of a loss and how far apart these and the gradients are, as shares of the larger size."""
    values, gradients = [], []
    for loss in (pair.ours, pair.theirs):
        student = pair.student.clone().requires_grad_()
        value = loss(student)
        gradients.append(torch.autograd.grad(value, student)[0])
        values.append(value.item())
    apart = float((gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max())
    return {
        "loss": pair.loss,
        "library": pair.library,
        "convention": pair.convention,
        "ours": values[0],
        "theirs": values[1],
        "value_apart": abs(values[0] - values[1]) / abs(values[1]),
        "gradient_apart": apart,
    }


def main() -> int:
    """Print the table and the closing JSON line; return 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    pairs: list[Pair] = []
    if textbrewer := found("textbrewer.losses"):
        pairs += of_textbrewer(textbrewer, options.rows, options.length)
    if torchdistill := found("torchdistill.losses.mid_level"):
        pairs += of_torchdistill(torchdistill, options.rows)
    results = [compared(pair) for pair in pairs]
    for row in results:
        print(
            f"{row['loss']:<34}{row['library']:<14}{row['ours']:>12.7f}{row['theirs']:>12.7f}"
            f"{row['value_apart']:>10.1e}{row['gradient_apart']:>10.1e}  {row['convention']}"
        )
    agree = all(row[key] <= TOLERANCE for row in results for key in ("value_apart", "gradient_apart"))
    print(json.dumps({"losses": results, "tolerance": TOLERANCE, "agree": agree if results else None}))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
