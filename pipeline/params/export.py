"""The section `tasks.T.export`: the form in which the student is registered and served."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Section, Share


class ExportParams(Section):
    """The student as an ONNX graph, which ONNX Runtime computes several times as fast as PyTorch."""

    format: Literal["int8", "float32"]
    """Numbers that the graph computes with: weights and inputs of products in 8 bits, a quarter of the size, or all in
    float32."""
    calibration_rows: Annotated[int, Field(ge=1)]
    """Number of rows of dev on which the ranges of 8-bit numbers are found."""
    max_loss: Share
    """Loss on dev that 8 bits may cost, in the figure that the best state of the student is chosen by; 0.003 is 0.3
    percentage points. Where they cost more, the graph computes in float32."""
