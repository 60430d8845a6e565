"""How the exported student computes: in float32, or with weights and the inputs of its products in 8 bits.

Both have the same methods, which add a layer to a graph and return its output. Weights are numpy arrays as PyTorch has
them, (outputs, inputs).

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", equation 1, value = scale (integer - zero point); scales of weights are one for each output (section 3).
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from onnx import TensorProto

from pipeline.exporting.graph import Graph

# Seven bits and the sign's place left free: where a processor adds pairs of 8-bit products in 16 bits (AVX2 and AVX-512
# without VNNI), 255 x 63 x 2 still fits, so that all processors find the same whole numbers.
LARGEST_WEIGHT = 63
LARGEST_EMBEDDING = 127  # looked up, not multiplied
LARGEST_INPUT = 255
DIGITS = 3  # of the scale of an input: more would hang on the processor that the ranges were found on


class Arithmetic(Protocol):
    """What a graph of layers is written with."""

    def dense(self, graph: Graph, states: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """states weightᵀ + bias, over the last axis."""

    def attention(
        self, graph: Graph, states: str, mask: str, name: str, weight: np.ndarray, bias: np.ndarray, heads: int
    ) -> str:
        """Self-attention of states (rows, tokens, width) before its output layer.

        weight: (3 width, width), of queries, keys and values; mask: int32 (rows, tokens).
        """

    def matrix(self, graph: Graph, name: str, weight: np.ndarray) -> str:
        """A constant of any shape for products in float32, scaled by its last axis."""

    def embeddings(self, graph: Graph, ids: str, name: str, table: np.ndarray) -> str:
        """The lines of a table that ids name."""


class Float32:
    """Everything in float32. `observed` are the inputs of products by name, whose ranges 8 bits need to know."""

    def __init__(self) -> None:
        self.observed: dict[str, str] = {}

    def dense(self, graph: Graph, states: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """As Arithmetic has it."""
        self.observed[name] = states
        product = graph.add("MatMul", states, graph.constant(f"{name}.weight", weight.T))
        return graph.add("Add", product, graph.constant(f"{name}.bias", bias))

    def attention(
        self, graph: Graph, states: str, mask: str, name: str, weight: np.ndarray, bias: np.ndarray, heads: int
    ) -> str:
        """As Arithmetic has it."""
        self.observed[name] = states
        weight_name, bias_name = graph.constant(f"{name}.weight", weight.T), graph.constant(f"{name}.bias", bias)
        return graph.add("Attention", states, weight_name, bias_name, mask, fused=True, num_heads=heads)

    def matrix(self, graph: Graph, name: str, weight: np.ndarray) -> str:
        """As Arithmetic has it."""
        return graph.constant(name, weight)

    def embeddings(self, graph: Graph, ids: str, name: str, table: np.ndarray) -> str:
        """As Arithmetic has it."""
        return graph.add("Gather", graph.constant(name, table), ids)


class Int8:
    """Products of 8-bit weights and inputs; norms, softmax and activations stay in float32.

    ranges: the smallest and the largest value of each product's input, by name. They are fixed beforehand, not found
    in each batch, so that an answer does not hang on the rows beside it.
    """

    def __init__(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        self._ranges = ranges

    def dense(self, graph: Graph, states: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """As Arithmetic has it."""
        integers, scale, zero = self._input(graph, states, name)
        rounded, steps = self._weight(graph, name, weight)
        bias_name = graph.constant(f"{name}.bias", bias)
        inputs = (integers, rounded, scale, steps, zero, "", bias_name)
        return graph.add("MatMulIntegerToFloat", *inputs, fused=True)

    def attention(
        self, graph: Graph, states: str, mask: str, name: str, weight: np.ndarray, bias: np.ndarray, heads: int
    ) -> str:
        """As Arithmetic has it."""
        integers, scale, zero = self._input(graph, states, name)
        rounded, steps = self._weight(graph, name, weight)
        zeros = graph.constant(f"zeros {len(weight)}", np.zeros(len(weight), np.int8))
        bias_name = graph.constant(f"{name}.bias", bias)
        inputs = (integers, rounded, bias_name, scale, steps, mask, zero, zeros)
        return graph.add("QAttention", *inputs, fused=True, num_heads=heads)

    def matrix(self, graph: Graph, name: str, weight: np.ndarray) -> str:
        """As Arithmetic has it; kept in 8 bits, made float32 when the graph is loaded."""
        rounded, steps = in_whole_numbers(weight, LARGEST_EMBEDDING)
        floats = graph.add("Cast", graph.constant(name, rounded), to=TensorProto.FLOAT)
        return graph.add("Mul", floats, _short(graph, name, steps))

    def embeddings(self, graph: Graph, ids: str, name: str, table: np.ndarray) -> str:
        """As Arithmetic has it."""
        rounded, steps = in_whole_numbers(table, LARGEST_EMBEDDING)
        floats = graph.add("Cast", graph.add("Gather", graph.constant(name, rounded), ids), to=TensorProto.FLOAT)
        return graph.add("Mul", floats, graph.add("Gather", _short(graph, name, steps), ids))

    def _input(self, graph: Graph, states: str, name: str) -> tuple[str, str, str]:
        scale, zero = scale_and_zero(*self._ranges[name])
        names = graph.constant(f"{name}.scale", scale), graph.constant(f"{name}.zero", zero)
        return graph.add("QuantizeLinear", states, *names), *names

    def _weight(self, graph: Graph, name: str, weight: np.ndarray) -> tuple[str, str]:
        rounded, steps = in_whole_numbers(weight, LARGEST_WEIGHT)
        return graph.constant(f"{name}.weight", rounded.T), _short(graph, name, steps[:, 0])


def _short(graph: Graph, name: str, steps: np.ndarray) -> str:
    """Add the steps of a matrix's lines, which 16 bits hold to a thousandth; made float32 when the graph is loaded."""
    return graph.add("Cast", graph.constant(f"{name}.steps", steps.astype(np.float16)), to=TensorProto.FLOAT)


def in_whole_numbers(values: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values, (..., width), as int8 from -largest to largest, and float32 steps (..., 1): values ≈ int8 x steps.

    A line's largest value becomes `largest`; no other is off by more than half a step.
    """
    steps = np.abs(values).max(axis=-1, keepdims=True).astype(np.float32) / np.float32(largest)
    steps = np.where(steps > 0, steps, np.float32(1))
    return np.rint(values / steps).astype(np.int8), steps


def scale_and_zero(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return the scale and the zero point with which uint8 reaches from `low` to `high`, and hits 0 exactly.

    The scale has DIGITS digits; what lies beyond the range becomes its end.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(f"{(high - low) / LARGEST_INPUT:.{DIGITS - 1}e}") or 1.0
    return np.float32(scale), np.uint8(np.clip(np.rint(-low / scale), 0, LARGEST_INPUT))
