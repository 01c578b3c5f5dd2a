"""A small converted pose network, and frames for it to play."""

from pathlib import Path

import numpy as np
from labelled import quarters, write_quarter_network
from numpy.typing import NDArray
from onnx_models import ModelBuilder, random_weights

import ann2sdnn as a2s
from ann2sdnn.convert.folder import OpenedConversion, open_conversion
from ann2sdnn.data.sources.given import frames_of
from ann2sdnn.eval.bench.live.player import Player


def walking_square(length: int = 12, seed: int = 0) -> NDArray[np.uint8]:
    """Frames [T, 1, 16, 16] of a textured square that moves."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(60, 256, (6, 6))
    frames = np.zeros((length, 1, 16, 16), np.uint8)
    for t in range(length):
        frames[t, 0, 5:11, t % 10 : t % 10 + 6] = texture
    return frames


def write_conversion(folder: Path, outputs: int = 13) -> Path:
    """A converted network that answers with one map per joint, or with other maps."""
    rng = np.random.default_rng(1)
    builder = ModelBuilder(("N", 1, 16, 16))
    builder.add("Conv", random_weights(rng, 4, 1, 3, 3), pads=(1, 1, 1, 1)).add("Relu")
    builder.add("Conv", random_weights(rng, outputs, 4, 3, 3), pads=(1, 1, 1, 1)).add("Relu")
    builder.metadata["ann2sdnn.input_scale"] = str(1 / 255)
    network = a2s.from_onnx(builder.save(folder.parent / f"{folder.name}.onnx"))
    a2s.to_sdnn(network, walking_square(24, seed=1), budget_error=0.2).save(folder)
    return folder


def write_classifier(folder: Path) -> Path:
    """A converted network that names the quarter of the picture with a bright square."""
    network = a2s.from_onnx(write_quarter_network(folder.parent / f"{folder.name}.onnx"))
    frames, _ = quarters(4, 8, seed=1)
    a2s.to_sdnn(network, list(frames), budget_error=0.1).save(folder)
    return folder


def converted(folder: Path) -> OpenedConversion:
    """The conversion in ``folder``, which is made where it is missing."""
    return open_conversion(folder if folder.exists() else write_conversion(folder))


def player_of(conversion: OpenedConversion, rate: float = 1000.0, once: bool = True) -> Player:
    """Plays one sequence."""
    return Player(conversion, frames_of(walking_square()), rate=rate, once=once)
