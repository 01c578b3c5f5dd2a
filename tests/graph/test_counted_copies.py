"""A ReLU6 costs the original network no more than a ReLU, though its graph has two per channel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_models import ModelBuilder, random_weights

from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.graph.onnx.reader import read_onnx


def counted(folder: Path, activation: str, pool: str | None, *limits: float) -> CountedAnn:
    """Two convolutions with the activation after each, and a dense layer; 3 frames run."""
    rng = np.random.default_rng(0)
    builder = ModelBuilder((1, 2, 12, 12))
    for weight in (random_weights(rng, 4, 2, 3, 3), random_weights(rng, 6, 4, 3, 3)):
        builder.add("Conv", weight)
        builder.add(activation, *(np.asarray(one, np.float32) for one in limits))
    if pool is not None:
        builder.add(pool)
    size = 6 * (1 if pool else 64)
    builder.add("Flatten").add("Gemm", random_weights(rng, size, 5))
    ann = CountedAnn(read_onnx(builder.save(folder / f"{activation}.onnx")))
    frames = torch.from_numpy(rng.integers(0, 256, (3, 2, 12, 12)).astype(np.uint8))
    ann.run(frames)
    return ann


@pytest.mark.parametrize("pool", [None, "GlobalAveragePool", "GlobalMaxPool"])
def test_operations_are_those_of_the_file(pool: str | None, tmp_path: Path) -> None:
    relu, clipped = counted(tmp_path, "Relu", pool), counted(tmp_path, "Clip", pool, 0, 1e6)
    assert clipped.macs.tolist() == relu.macs.tolist()
    assert clipped.nonzero_macs.tolist() == relu.nonzero_macs.tolist()
    assert clipped.sustained.first_frame == relu.sustained.first_frame
    assert [layer.copies for layer in clipped.graph.layers][:2] == [2, 2]
    # Most values exceed this limit, so that both ReLUs of a channel are active.
    saturated = counted(tmp_path, "Clip", pool, 0, 20)
    assert saturated.nonzero_macs[:2].tolist() == relu.nonzero_macs[:2].tolist()
