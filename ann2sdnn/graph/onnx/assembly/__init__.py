"""From the steps of an ONNX graph to layers."""
