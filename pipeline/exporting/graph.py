"""An ONNX graph as it is written: one call adds one operation. onnx and numpy alone."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from pipeline.files import replacing

OPSET = 21
FUSED = "com.microsoft"  # ONNX Runtime's own operations, several of ONNX's in one
IR_VERSION = 10


class Graph:
    """Operations and constants in the order they were added; a tensor is its name, inputs are int64 (rows, tokens)."""

    def __init__(self, inputs: list[str]) -> None:
        self._inputs = inputs
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any) -> str:
        """Add an array that `name` stands for from here on; a second one of the same name is the first."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def numbers(self, *values: int) -> str:
        """Add a list of whole numbers, such as a shape or the axes of a slice."""
        return self.constant(f"numbers {' '.join(map(str, values))}", np.array(values, np.int64))

    def add(self, operation: str, *inputs: str, fused: bool = False, name: str | None = None, **attributes: Any) -> str:
        """Add an operation and return its output; an input that is left out is ""."""
        output = name or f"{operation} {len(self._nodes)}"
        domain = FUSED if fused else ""
        self._nodes.append(helper.make_node(operation, list(inputs), [output], domain=domain, **attributes))
        return output

    def model(self, outputs: list[str]) -> ModelProto:
        """Return the whole, with the float32 `outputs`; equal graphs give equal bytes."""
        given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in self._inputs]
        wanted = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self._nodes, "student", given, wanted, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def write_model(model: ModelProto, path: Path) -> None:
    """Write a model, whole or not at all; no time and no version of the writer stands in it."""
    with replacing(path) as draft:
        draft.write_bytes(model.SerializeToString(deterministic=True))
