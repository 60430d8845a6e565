"""The student as an ONNX graph: written layer by layer, its weights in float32 or in 8 bits."""
