"""One reader per ONNX operator."""
