"""Reads the ONNX operators that scale and shift: arithmetic with constants, batch normalisation."""

import numpy as np

from ann2sdnn.graph.arrangement import Data
from ann2sdnn.graph.onnx.elements import Affine
from ann2sdnn.graph.onnx.operators.node import FloatArray, Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import Support, operator

_CONSTANT = "a constant per channel, or per value right before a dense layer"
_SUPPORT = Support("folded into the layer before it or after it", _CONSTANT)


_TENSORS = Support(f"{_SUPPORT.reads}; of two tensors a layer with a synapse for each", _CONSTANT)


@operator("Add", data_inputs=(0, 1), support=_TENSORS)
def _add(node: Node, data: Data) -> Parsed:
    return _affine(node, data, None, _operand(node, data, "added to"))


@operator("Sub", data_inputs=(0, 1), support=_TENSORS)
def _subtract(node: Node, data: Data) -> Parsed:
    values = _operand(node, data, "subtracted from")
    if node.data_index == 0:
        return _affine(node, data, None, -values)
    return _affine(node, data, -np.ones_like(values), values)


@operator("Mul", data_inputs=(0, 1), support=_SUPPORT)
def _multiply(node: Node, data: Data) -> Parsed:
    return _affine(node, data, _operand(node, data, "multiplied with"), None)


@operator(
    "Div",
    support=Support("folded into the layer before it or after it", f"divided by {_CONSTANT}"),
)
def _divide(node: Node, data: Data) -> Parsed:
    values = _operand(node, data, "the divisor of")
    if (values == 0).any():
        raise node.error("it divides by 0; check the constant")
    return _affine(node, data, (1 / values).astype(np.float32), None)


@operator("Neg", support=Support("folded into the layer before it or after it"))
def _negate(node: Node, data: Data) -> Parsed:
    return _affine(node, data, np.full((data.shape[0], 1, 1), -1, np.float32), None)


@operator(
    "BatchNormalization",
    "epsilon momentum spatial training_mode",
    belongs=True,
    support=Support(
        "folded into the layer before it or after it; else a 1x1 layer", "evaluation mode"
    ),
)
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
        raise node.error(
            "spatial = 0; only one mean and variance per channel can be converted, so train with"
            " such a batch normalisation"
        )
    channels = data.dims[1] if len(data.dims) > 1 else 1
    names = ("scale", "bias", "mean", "variance")
    scale, shift, mean, variance = (
        _per_channel(node, node.constant(i, what), what, channels)
        for i, what in enumerate(names, 1)
    )
    spread = variance + np.float32(node.attributes.get("epsilon", 1e-5))
    if not (spread > 0).all():
        raise node.error("variance plus epsilon is not above 0; train the network again")
    factor = (scale / np.sqrt(spread)).astype(np.float32, copy=False)
    offset = (shift - mean * factor).astype(np.float32, copy=False)
    ones = (1,) * (len(data.dims) - 2)
    spread_factor, spread_offset = (
        data.spread(values.reshape(1, -1, *ones)) for values in (factor, offset)
    )
    assert spread_factor is not None
    assert spread_offset is not None
    return _affine(node, data, spread_factor, spread_offset)


@operator(
    "ai.onnx.ml::Scaler",
    "offset scale",
    belongs=True,
    support=Support("folded into the layer after it (scikit-learn's scalers)", "of values [N, K]"),
)
def _scaler(node: Node, data: Data) -> Parsed:
    """(x - offset) * scale, each one number or one per value."""
    offset, scale = (
        np.asarray(node.attributes.get(name, [default]), np.float32)
        for name, default in (("offset", 0.0), ("scale", 1.0))
    )
    wide = [data.spread(values) for values in (offset, scale)]
    if wide[0] is None or wide[1] is None:
        raise node.error(
            f"{offset.size} offsets and {scale.size} scales for {list(data.dims)}; expected one"
            " number or one per value"
        )
    if not (np.isfinite(offset).all() and np.isfinite(scale).all()):
        raise node.error("its scale or offset holds a NaN or an infinite number; fit it again")
    return _affine(node, data, wide[1], -wide[0] * wide[1])


def _affine(node: Node, data: Data, factor: FloatArray | None, shift: FloatArray | None) -> Parsed:
    channels = data.shape[0]
    return (
        Affine(
            node.name,
            np.ones((channels, 1, 1), np.float32) if factor is None else factor,
            np.zeros((channels, 1, 1), np.float32) if shift is None else shift,
        ),
        data,
    )


def _operand(node: Node, data: Data, relation: str) -> FloatArray:
    """The constant operand as [C, 1, 1] or, where pixels differ, [C, H, W]."""
    values = node.constant(1 - node.data_index, "operand")
    spread = data.spread(values)
    if spread is None:
        raise node.error(
            f"a constant of shape {values.shape} is {relation} {list(data.dims)}; only one number"
            " per channel can be converted"
        )
    return np.ascontiguousarray(spread, np.float32)


def _per_channel(node: Node, values: FloatArray, what: str, channels: int) -> FloatArray:
    if values.shape != (channels,):
        raise node.error(
            f"a {what} of shape {values.shape} for {channels} channels; expected one per channel"
        )
    return values
