"""ONNX files: loading, external data, and sessions of ONNX Runtime."""
