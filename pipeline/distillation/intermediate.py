"""What happens inside a BERT: hidden states and attention matrices of chosen layers. Layer 0 is the embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.architectures.classifier import accepted, at_targets, logits_of, target_logits


@dataclass(frozen=True)
class Layers:
    """Which layers' hidden states (from 0) and attention matrices (from 1) are wanted."""

    hidden_states: tuple[int, ...] = ()
    attentions: tuple[int, ...] = ()


@dataclass(frozen=True)
class LayerOutputs:
    """What a model puts out for a batch; layers by number.

    logits: (targets, classes). hidden_states: (rows, length, width). attentions: (rows, heads, length, length).
    """

    logits: Tensor
    hidden_states: dict[int, Tensor]
    attentions: dict[int, Tensor]

    def to(self, dtype: torch.dtype, device: torch.device) -> "LayerOutputs":
        """Return the same outputs in another precision, elsewhere."""
        return LayerOutputs(
            self.logits.to(device, dtype),
            {layer: states.to(device, dtype) for layer, states in self.hidden_states.items()},
            {layer: scores.to(device, dtype) for layer, scores in self.attentions.items()},
        )


def layer_outputs(model: nn.Module, inputs: Mapping[str, Tensor], positions: Tensor, layers: Layers) -> LayerOutputs:
    """Run a model and keep its logits at `positions` and what the chosen layers put out.

    inputs: as `target_logits` takes them; positions: int64 (targets,), tokens of the flattened batch.
    """
    if not (layers.hidden_states or layers.attentions):
        return LayerOutputs(target_logits(model, inputs, positions), {}, {})
    output = model(**accepted(model, inputs), output_hidden_states=True)
    return LayerOutputs(
        at_targets(logits_of(output), positions),
        {layer: output.hidden_states[layer] for layer in layers.hidden_states},
        {layer: attention_scores(model, layer, output.hidden_states[layer - 1]) for layer in layers.attentions},
    )


def attention_scores(model: Any, layer: int, inputs: Tensor) -> Tensor:
    """Return Q K^T / √d of `layer`, (rows, heads, length, length), from what goes into it, (rows, length, width).

    Vaswani et al. 2017, equation 1, before the softmax. The model's fused attention never shows these numbers, so they
    are computed a second time.
    """
    attention = model.base_model.encoder.layer[layer - 1].attention.self
    query, key = (
        projection(inputs).unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
        for projection in (attention.query, attention.key)
    )
    return torch.matmul(query, key.transpose(-1, -2)) * attention.scaling
