"""Reading of ONNX files into the typed graph."""
