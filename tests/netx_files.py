"""Network files as slayer's export_hdf5 writes them, without slayer."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def write_block(
    file: h5py.File, kind: str, shape: tuple[int, ...], threshold: int | None = None, **data: Any
) -> None:
    """Append a block; ``data`` by the names of the format."""
    layers = file.require_group("layer")
    group = layers.create_group(str(len(layers)))
    group.create_dataset("type", (1,), "S10", [kind.encode()])
    group["shape"] = shape
    for name, values in data.items():
        floats = name in ("weight", "bias")
        group[name] = np.asarray(values, np.float32 if floats else np.int64)
    if threshold is not None:
        group["neuron/type"] = "SDNN"
        group["neuron/activation"] = "relu"
        group["neuron/vThMant"] = threshold


def write_experiment(path: Path) -> Path:
    """The kinds of blocks of the published experiment, small: a U with 7 steps of weights."""
    rng = np.random.default_rng(0)

    def weight(*size: int) -> Any:
        values = 2 * rng.integers(-6, 7, size)
        values.flat[0] = 14
        return values

    def kernel(size: int, stride: int, padding: int = 0) -> dict[str, list[int]]:
        names = {"kernelSize": size, "stride": stride, "padding": padding, "dilation": 1}
        return {name: [value, value] for name, value in names.items()}

    pool = {**kernel(2, 2), "weight": np.full((1, 1, 2, 2), 64)}
    with h5py.File(path, "w") as file:
        write_block(file, "input", (1, 16, 20), 0)
        conv = {**kernel(3, 1, 1), "groups": 1}
        write_block(
            file, "conv", (4, 16, 20), 0, weight=weight(4, 1, 3, 3), bias=[-4, 0, 2, 8], **conv
        )
        write_block(file, "pool", (4, 8, 10), 0, **pool)
        write_block(file, "conv", (6, 8, 10), 1, weight=weight(6, 4, 3, 3), **conv)
        write_block(file, "pool", (6, 4, 5), 0, **pool)
        up = {**kernel(2, 2), "groups": 1}
        write_block(file, "convT", (4, 8, 10), 0, weight=weight(6, 4, 2, 2), **up)
        write_block(file, "convT", (4, 16, 20), 0, weight=weight(4, 4, 2, 2), **up)
        write_block(
            file, "conv", (3, 16, 20), 3, weight=weight(3, 4, 3, 3), bias=[0, 0, -2], **conv
        )
    return path
