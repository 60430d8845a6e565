"""What happens inside a model: vectors of each token that it computes on the way to its logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.architectures.classifier import (
    accepted,
    at_targets,
    logits_of,
    predicts_masked_tokens,
    target_logits,
    word_scores,
)

# of the attention of BERT and RoBERTa
PROJECTIONS = {"queries": "query", "keys": "key", "values": "value"}


class State(NamedTuple):
    """What is wanted of a layer: what it puts out, 0 being the embeddings, or what its attention makes of its input."""

    kind: Literal["hidden_states", "queries", "keys", "values"]
    layer: int

    def __str__(self) -> str:
        return f"{self.kind}_{self.layer}"


@dataclass(frozen=True)
class LayerOutputs:
    """What a model puts out for a batch: logits (targets, classes); by state (rows, length, width), all heads of it."""

    logits: Tensor
    states: dict[State, Tensor]

    def to(self, dtype: torch.dtype, device: torch.device) -> "LayerOutputs":
        """Return the same outputs in another precision, elsewhere."""
        return LayerOutputs(
            self.logits.to(device, dtype), {state: value.to(device, dtype) for state, value in self.states.items()}
        )


def layer_outputs(
    model: nn.Module, inputs: Mapping[str, Tensor], positions: Tensor, states: Sequence[State]
) -> LayerOutputs:
    """Run a model and keep its logits at `positions` and the states that are wanted.

    inputs: as `target_logits` takes them; positions: int64 (targets,), tokens of the flattened batch.
    """
    if not states:
        return LayerOutputs(target_logits(model, inputs, positions), {})
    if predicts_masked_tokens(model):
        encoder: Any = model.base_model
        output = encoder(**accepted(model, inputs), output_hidden_states=True)
        logits = word_scores(model, output.last_hidden_state, positions)
    else:
        output = model(**accepted(model, inputs), output_hidden_states=True)
        logits = at_targets(logits_of(output), positions)
    return LayerOutputs(logits, {state: _state(model, state, output.hidden_states) for state in states})


def _state(model: Any, state: State, hidden_states: Sequence[Tensor]) -> Tensor:
    """Return a state; fused attention never shows its queries, keys and values, so they are computed a second time."""
    if state.kind == "hidden_states":
        return hidden_states[state.layer]
    attention = model.base_model.encoder.layer[state.layer - 1].attention.self
    projected: Tensor = getattr(attention, PROJECTIONS[state.kind])(hidden_states[state.layer - 1])
    return projected
