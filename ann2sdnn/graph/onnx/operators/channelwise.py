"""Reads the elementwise ONNX operators: ReLU, bias, batch normalisation."""

import numpy as np

from ann2sdnn.graph.onnx.elements import Affine, Rectify
from ann2sdnn.graph.onnx.operators.node import Data, FloatArray, Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import operator

_LARGEST = float(np.finfo(np.float32).max)


@operator("Relu")
def _relu(node: Node, data: Data) -> Parsed:
    return Rectify(node.name), data


@operator("Clip", "max min")
def _clip(node: Node, data: Data) -> Parsed:
    """Clip with minimum 0 and no maximum, which is a ReLU."""
    low, high = (_bound(node, index, what) for index, what in ((1, "min"), (2, "max")))
    if low == 0 and (high is None or high >= _LARGEST):
        return Rectify(node.name), data
    limits = f"{-np.inf if low is None else low:g} to {np.inf if high is None else high:g}"
    raise node.error(f"it clips to {limits}; only a ReLU (minimum 0, no maximum) can be converted")


def _bound(node: Node, index: int, what: str) -> float | None:
    """A limit of Clip: an attribute before opset 11, an input after."""
    if what in node.attributes:
        return float(node.attributes[what])
    value = node.constants[index] if index < len(node.constants) else None
    if value is None:
        return None
    if value.size != 1 or value.dtype != np.float32:
        raise node.error(
            f"its {what} is of type {value.dtype} and shape {value.shape}; expected one float32"
        )
    return float(value.item())


@operator("Add", data_inputs=(0, 1))
def _bias(node: Node, data: Data) -> Parsed:
    """Add of a constant that is one number per channel."""
    other = 1 - node.data_index
    shift = node.constant(other, "second summand")
    channels = _channels(node, data, "a bias")
    axes = (1,) * (len(data.dims) - shift.ndim) + shift.shape
    if any(size != 1 for size in axes[2:]) and axes[2:] == data.dims[2:]:
        raise node.error(
            f"a constant of shape {shift.shape} that differs from pixel to pixel is added; only a"
            " bias per channel can be converted"
        )
    if axes not in ((1, size, *[1] * len(data.dims[2:])) for size in (1, channels)):
        raise node.error(
            f"a constant of shape {shift.shape} is added to {list(data.dims)}; only a bias per"
            " channel can be converted"
        )
    values = np.broadcast_to(shift.reshape(-1), (channels,)).astype(np.float32)
    return Affine(node.name, np.ones(channels, np.float32), values), data


@operator("BatchNormalization", "epsilon momentum spatial training_mode")
def _batch_normalization(node: Node, data: Data) -> Parsed:
    if node.flag("training_mode"):
        raise node.error("training_mode = 1; export the network in evaluation mode")
    # Before opset 14 the means and variances as outputs are what asks for training.
    if node.n_outputs > 1:
        raise node.error(
            f"it has {node.n_outputs} outputs, so it normalises by the batch at hand as in"
            " training; export the network in evaluation mode"
        )
    if not node.flag("spatial", 1):
        raise node.error("spatial = 0; only one mean and variance per channel can be converted")
    channels = _channels(node, data, "a batch normalisation")
    names = ("scale", "bias", "mean", "variance")
    scale, shift, mean, variance = (
        _per_channel(node, node.constant(i, what), what, channels)
        for i, what in enumerate(names, 1)
    )
    spread = variance + np.float32(node.attributes.get("epsilon", 1e-5))
    if not (spread > 0).all():
        raise node.error("variance plus epsilon is not above 0")
    factor = (scale / np.sqrt(spread)).astype(np.float32, copy=False)
    offset = (shift - mean * factor).astype(np.float32, copy=False)
    return Affine(node.name, factor, offset), data


def _per_channel(node: Node, values: FloatArray, what: str, channels: int) -> FloatArray:
    if values.shape != (channels,):
        raise node.error(f"a {what} of shape {values.shape} for {channels} channels")
    return values


def _channels(node: Node, data: Data, what: str) -> int:
    """Channels of ``data``; ModelError for flattened maps, whose pixels would be channels."""
    if data.flat and data.shape[1:] != (1, 1):
        raise node.error(
            f"{what} right after a Flatten of {data.shape[0]}x{data.shape[1]}x{data.shape[2]}; put"
            " it before the Flatten"
        )
    return data.shape[0]
