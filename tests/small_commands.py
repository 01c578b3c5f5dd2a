"""A network and frames so small that commands take little but their start."""

from pathlib import Path

import numpy as np
from networks import moving_frames
from onnx_models import ModelBuilder, random_weights


def write_world(folder: Path) -> None:
    """`net.onnx`, two convolutions, and `frames.npy`, 12 frames, in ``folder``."""
    rng = np.random.default_rng(0)
    builder = ModelBuilder((1, 1, 16, 20)).add("Conv", random_weights(rng, 4, 1, 3, 3))
    builder.add("Relu").add("Conv", random_weights(rng, 2, 4, 3, 3))
    builder.metadata["ann2sdnn.input_scale"] = str(1 / 255)
    builder.save(folder / "net.onnx")
    np.save(folder / "frames.npy", moving_frames(12, (1, 16, 20)).numpy())
