"""Checkpoints as safetensors, a format that cannot execute code when it is read."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ann2sdnn.ann.architectures import architecture_of
from ann2sdnn.ann.network import Weights, check_weights
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import INPUT_SCALE_KEY
from ann2sdnn.graph.onnx.metadata import RESIZE_KEY, metadata_of, stored_size
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import atomic_file


def write_checkpoint(
    path: Path, weights: Weights, input_scale: float, resize: Pair | None = None
) -> None:
    """Replace ``path`` by a checkpoint: kernels by name, the input scale, and the size that frames
    are resized to, if they are.
    """
    tensors = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
    content = save(tensors, metadata=metadata_of(input_scale, Preprocessing(resize=resize)))
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def read_checkpoint(path: Path) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Read (weights, input scale); raises ModelError for a file that is not such a checkpoint."""
    with _opened(path) as file:
        present = set(file.keys())
        kernels = architecture_of(present).kernels
        weights = {name: file.get_tensor(name) for name in kernels if name in present}
        scale = (file.metadata() or {}).get(INPUT_SCALE_KEY)
    check_weights(weights, str(path))
    return weights, parsed_input_scale(scale, path)


def checkpoint_size(path: Path) -> Pair | None:
    """The size that frames are resized to for the checkpoint in ``path``; None for whole frames.

    Raises ModelError as ``read_checkpoint``.
    """
    with _opened(path) as file:
        return stored_size(path, (file.metadata() or {}).get(RESIZE_KEY))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    refuse_lfs_pointer(path, ModelError)
    try:
        with safe_open(str(path), framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a readable checkpoint ({error}); "
            "expected a .safetensors file written by train-ann"
        ) from error


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
