"""Weights of the pose network in and out: checkpoints, Keras files, ONNX files."""
