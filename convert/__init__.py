"""From an ONNX file to a typed graph, and from the graph to a calibrated SDNN spec."""
