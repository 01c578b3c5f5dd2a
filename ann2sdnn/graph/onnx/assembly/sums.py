"""Sums of tensors: one layer with a synapse for each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ann2sdnn.graph.averages import free_name
from ann2sdnn.graph.layers import INPUT, Synapse, Weights, scale_output_channels
from ann2sdnn.graph.onnx.assembly.builder import Builder
from ann2sdnn.graph.onnx.assembly.growing import Growing
from ann2sdnn.graph.onnx.assembly.mix import identity
from ann2sdnn.graph.onnx.assembly.value import Value, pieces_of
from ann2sdnn.graph.onnx.elements import Run


def summed(
    growing: Growing, run: Run, terms: Sequence[Value], are_alone: Sequence[bool]
) -> Builder:
    """The layer for the sum that ``run`` begins with.

    ``are_alone``: for each of the ``terms`` whether its layer serves the sum only. Such a layer, if
    it is linear, becomes a part of the sum. Another term is read through an identity.
    """
    assert run.merge is not None
    name = ""
    taken: list[Synapse] = []
    unchanged: list[Synapse] = []
    bias: Weights | None = None
    for term, sign, is_alone in zip(terms, run.merge.signs, are_alone, strict=True):
        value = _as_whole(growing, term)
        if is_alone and _is_linear(growing, value):
            own, added = _taken(growing, value, sign)
            name = name or value.whole.source
            taken += own
        else:
            own, added = _through_identity(run.merge.name, value, sign)
            unchanged += own
        if added is not None:
            bias = added if bias is None else bias + added
    free = free_name(name or run.merge.name, {INPUT, *growing.layers})
    synapses = _joined_alike([*taken, *unchanged])
    return Builder(growing, growing.append_layer(free, synapses, bias, run.merged), owns=True)


def _as_whole(growing: Growing, value: Value) -> Value:
    """The value of one layer, without pads, and alike in all pixels."""
    builder = Builder(growing, value, owns=False)
    while (
        not builder.value.is_whole
        or any(builder.value.pads)
        or not builder.value.mix.is_per_channel
    ):
        builder.settle()
    return builder.value


def _is_linear(growing: Growing, value: Value) -> bool:
    """Whether the value is a linear function of what its layer reads."""
    layer = growing.layers.get(value.whole.source)
    has_one = len(value.mix.coefficients) == 1
    return layer is not None and not layer.relu and layer.pool is None and has_one


def _taken(growing: Growing, value: Value, sign: int) -> tuple[list[Synapse], Weights | None]:
    """The synapses and the bias of the value's layer, which is no layer of its own any more."""
    layer = growing.remove(value.whole.source)
    factor = sign * value.mix.coefficients[0, :, 0, 0]
    scaled = layer if (factor == 1).all() else scale_output_channels(layer, factor)
    shift = sign * value.mix.shift[:, 0, 0]
    if not shift.any():
        return list(scaled.synapses), scaled.bias
    bias = shift if scaled.bias is None else scaled.bias + shift
    return list(scaled.synapses), bias.astype(np.float32)


def _through_identity(name: str, value: Value, sign: int) -> tuple[list[Synapse], Weights | None]:
    pieces = pieces_of(identity(name, value.shape[0]), value)
    assert pieces is not None
    (piece,) = pieces
    weight = piece.weight if sign == 1 else -piece.weight
    bias = piece.bias if piece.bias is None or sign == 1 else -piece.bias
    return [Synapse(piece.geometry, weight, value.whole.shape, value.whole.source)], bias


def _joined_alike(synapses: Sequence[Synapse]) -> list[Synapse]:
    """The synapses with those that read the same source in the same way made one."""
    kept: dict[tuple[object, ...], Synapse] = {}
    for synapse in synapses:
        key = (synapse.source, synapse.geometry, synapse.weight.shape)
        before = kept.get(key)
        added = synapse.weight if before is None else before.weight + synapse.weight
        kept[key] = replace(synapse, weight=added)
    return list(kept.values())
