"""Reads the network that a training starts from."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.ann.architectures import ARCHITECTURES
from ann2sdnn.ann.network import check_weights
from ann2sdnn.ann.weights.checkpoint import (
    checkpoint_size,
    parsed_input_scale,
    read_checkpoint,
)
from ann2sdnn.ann.weights.keras import KERAS_INPUT_SCALE, is_hdf5, read_keras_weights
from ann2sdnn.ann.weights.onnx_export import weight_name
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import INPUT_SCALE_KEY
from ann2sdnn.graph.onnx.file.load import NotOnnxError, load_onnx
from ann2sdnn.graph.onnx.file.protos import array_of
from ann2sdnn.graph.onnx.metadata import stored_preprocessing
from ann2sdnn.support.errors import ModelError

ArrayWeights = dict[str, NDArray[np.float32]]


def read_network(path: Path) -> tuple[ArrayWeights, float]:
    """The pose network in ``path`` as (kernels by name in torch's layout, input scale).

    ``path``: an ONNX file that train-ann or import-ann wrote, a checkpoint, or the published Keras
    file. Raises ModelError for a file that is missing, damaged or another network.
    """
    if is_hdf5(path):
        return read_keras_weights(path), KERAS_INPUT_SCALE
    if path.suffix == ".safetensors":
        return read_checkpoint(path)
    return _read_onnx(path)


def stored_input_size(path: Path) -> Pair | None:
    """The height and width that frames are resized to for the network in ``path``; None for whole
    frames. ``path`` and errors as for ``read_network``.
    """
    if is_hdf5(path):
        return None
    if path.suffix == ".safetensors":
        return checkpoint_size(path)
    return stored_preprocessing(load_onnx(path)).resize


def _read_onnx(path: Path) -> tuple[ArrayWeights, float]:
    try:
        model = load_onnx(path).model
    except NotOnnxError as error:
        raise ModelError(
            f"{path} is no ONNX file, checkpoint or Keras file; expected one that train-ann or "
            "import-ann wrote, or the published DHP_CNN.model"
        ) from error
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    known = {name for each in ARCHITECTURES.values() for name in each.kernels}
    weights: ArrayWeights = {
        name: array_of(stored[weight_name(name)]).astype(np.float32)
        for name in known
        if weight_name(name) in stored
    }
    check_weights(weights, str(path))
    text = {entry.key: entry.value for entry in model.metadata_props}.get(INPUT_SCALE_KEY)
    return weights, parsed_input_scale(text, path)
