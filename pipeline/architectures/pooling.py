"""One vector for a text from the hidden states of its tokens."""

from typing import Literal

from torch import Tensor

Pooling = Literal["mean", "cls"]


def pooled(states: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Return float32 vectors (rows, width): the mean over a row's tokens, padding left out, or its first token's state.

    states: (rows, length, width); attention_mask: int64 (rows, length), 1 at tokens.
    """
    states = states.float()
    if pooling == "cls":
        return states[:, 0]
    mask = attention_mask[:, :, None].to(states.dtype)
    return (states * mask).sum(dim=1) / mask.sum(dim=1)
