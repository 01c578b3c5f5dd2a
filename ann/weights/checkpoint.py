"""Checkpoints as safetensors, a format that cannot execute code when it is read."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ann2sdnn.ann.architectures import architecture_of
from ann2sdnn.ann.network import Weights, check_weights
from ann2sdnn.graph.layers import INPUT_SCALE_KEY
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import atomic_file


def write_checkpoint(path: Path, weights: Weights, input_scale: float) -> None:
    """Replace ``path`` by a checkpoint: kernels by name, and the input scale."""
    tensors = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
    content = save(tensors, metadata={INPUT_SCALE_KEY: repr(float(input_scale))})
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def read_checkpoint(path: Path) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Read (weights, input scale); raises ModelError for a file that is not such a checkpoint."""
    refuse_lfs_pointer(path, ModelError)
    try:
        with safe_open(str(path), framework="numpy") as file:
            present = set(file.keys())
            kernels = architecture_of(present).kernels
            weights = {name: file.get_tensor(name) for name in kernels if name in present}
            scale = (file.metadata() or {}).get(INPUT_SCALE_KEY)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a readable checkpoint ({error}); "
            "expected a .safetensors file written by train-ann"
        ) from error
    check_weights(weights, str(path))
    return weights, parsed_input_scale(scale, path)


def parsed_input_scale(text: str | None, path: Path) -> float:
    """The input scale given as ``text`` in ``path``; raises ModelError for anything else."""
    try:
        scale = float(text) if text is not None else math.nan
    except ValueError:
        scale = math.nan
    if not (math.isfinite(scale) and scale > 0):
        raise ModelError(
            f"{path} does not say its input scale ({INPUT_SCALE_KEY} is {text}); "
            "expected a file written by train-ann"
        )
    return scale
