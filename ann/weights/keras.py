"""Imports trained weights: the data set authors' Keras file, or a checkpoint of train-ann.

``DHP_CNN.model``, published with DHP19 under the MIT licence, is a Keras 2.2 HDF5 file: kernels at
``model_weights/<layer>/<layer>/kernel:0``, [3, 3, in, out], and [3, 3, out, in] where transposed.
It takes the uint8 frame as float 0..255.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.ann.architectures import DHP19, PoseLayer
from ann2sdnn.ann.network import check_weights
from ann2sdnn.ann.weights.checkpoint import checkpoint_size, read_checkpoint
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.h5 import reading_h5
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.targets import check_file

KERAS_INPUT_SCALE = 1.0

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class ImportedNetwork:
    """Result of ``import_network``; ``kind`` is "Keras" or "checkpoint"."""

    kind: str
    input_scale: float
    n_weights: int


def import_network(source: Path, out: Path, *, force: bool = False) -> ImportedNetwork:
    """Write the network in ``source``, a Keras file or a project checkpoint, to ``out`` as ONNX.

    Raises OutputError when ``out`` exists and ``force`` is false, ModelError for a file that is
    missing, damaged or another network.
    """
    check_file(out, force=force, inputs=(source,))
    if is_hdf5(source):
        kind, weights, input_scale = "Keras", read_keras_weights(source), KERAS_INPUT_SCALE
        resize = None
    else:
        kind = "checkpoint"
        weights, input_scale = read_checkpoint(source)
        resize = checkpoint_size(source)
    write_onnx(out, weights, input_scale, resize)
    return ImportedNetwork(kind, input_scale, sum(kernel.size for kernel in weights.values()))


def is_hdf5(path: Path) -> bool:
    """Whether the file begins like HDF5, as Keras' does; raises ModelError if it cannot be read."""
    refuse_lfs_pointer(path, ModelError)
    try:
        with path.open("rb") as stream:
            return stream.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); "
            "expected the published Keras file or a .safetensors checkpoint"
        ) from error


def read_keras_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the kernels of the published Keras file, by layer name, in torch's layout.

    Raises ModelError when the file is not HDF5, a layer is missing or has a bias, and when a
    kernel has the wrong shape or holds numbers that are not finite.
    """
    expected = "expected a Keras file such as DHP_CNN.model"
    with reading_h5(path, "cannot be read as HDF5", expected) as file:
        groups = file.get("model_weights", file)
        weights = {layer.name: _kernel(groups, layer, path) for layer in DHP19.layers}
    check_weights(weights, str(path))
    return weights


def _kernel(groups: Any, layer: PoseLayer, path: Path) -> NDArray[np.float32]:
    group = groups.get(layer.name)
    items: dict[str, Any] = {}
    if isinstance(group, h5py.Group):
        group.visititems(lambda name, item: items.update({name.split("/")[-1]: item}))
    if any(name.startswith("bias") for name in items):
        raise ModelError(
            f"{path}: layer {layer.name} has a bias; the DHP19 pose network has none, "
            "export the network to ONNX instead"
        )
    kernel = items.get("kernel:0")
    if not isinstance(kernel, h5py.Dataset):
        raise ModelError(
            f"{path}: layer {layer.name} has no kernel; expected the {len(DHP19.layers)} layers"
            " of the published DHP_CNN.model"
        )
    if kernel.ndim != 4 or kernel.dtype.kind != "f":
        raise ModelError(
            f"{path}: the kernel of layer {layer.name} is {list(kernel.shape)} {kernel.dtype}, "
            "expected four axes of floating-point numbers"
        )
    # [3, 3, in, out] to [out, in, 3, 3]; for a transposed layer in and out change places in both.
    return np.ascontiguousarray(np.transpose(kernel[()], (3, 2, 0, 1)), np.float32)
