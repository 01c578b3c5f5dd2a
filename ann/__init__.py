"""The pose CNN: the 17-layer DHP19 network, its training, import and ONNX export."""
