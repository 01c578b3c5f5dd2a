"""Rewrites a graph or spec as convolutions and dense layers that stock netx can load.

netx has neither pooling nor transposed convolutions, only a chain of layers with a ReLU, and pads
that are the same at both ends. The passes that rewrite the rest are exact: first ``pooling``, then
``packing``, or ``chain`` for a network with branches. The host reassembles the outputs
(``Unpacking``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.planes import joined
from ann2sdnn.sdnn.lowering.carrying import OTHER_WAY
from ann2sdnn.sdnn.lowering.chain import as_chain
from ann2sdnn.sdnn.lowering.packing import pack
from ann2sdnn.sdnn.lowering.passing import passing_thresholds
from ann2sdnn.sdnn.lowering.pooling import Held, Part, Signs, lower_pools, may_be_negative
from ann2sdnn.sdnn.lowering.slots import Slot
from ann2sdnn.sdnn.spec.grid import SHIFT, UNITS
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError
from ann2sdnn.support.integers import narrowed

# With a weight of 2^shift a message passes unchanged; weights are even and less than 2^8.
_CARRYING_SHIFTS = range(1, 8)


@dataclass(frozen=True)
class Unpacking:
    """Layout of an output of ``shape`` (C, H, W) in the lowered network's, from ``first`` on.

    A channel has three indices: the slowest is the position (y % packing, x % packing), then the
    original channel, then the terms, whose sum with ``signs`` is the value.
    """

    shape: Shape
    packing: Pair = (1, 1)
    signs: Signs = (1,)
    first: int = 0

    def __call__(self, held: Tensor) -> Tensor:
        """The original's output [T, C, H, W] for the lowered network's, [T, C', H', W']."""
        channels, height, width = self.shape
        rows, columns = self.packing
        n_held = rows * columns * channels * len(self.signs)
        own = held[:, self.first : self.first + n_held]
        terms = own.reshape(len(held), rows, columns, channels, len(self.signs), *held.shape[2:])
        signs = torch.tensor(self.signs, dtype=held.dtype)[:, None, None]
        values = (terms * signs).sum(dim=4)  # [T, ry, rx, C, H', W']
        fine = values.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)
        return fine[:, :, :height, :width]


@dataclass(frozen=True)
class Unpackings:
    """Layout of several outputs, which are one output with their values after each other."""

    outputs: tuple[Unpacking, ...]

    @property
    def shape(self) -> Shape:
        """(K, 1, 1)."""
        return (sum(math.prod(one.shape) for one in self.outputs), 1, 1)

    @property
    def packing(self) -> Pair:
        """Of the output whose pixels are packed most."""
        return max(one.packing for one in self.outputs)

    def __call__(self, held: Tensor) -> Tensor:
        """As ``Unpacking``; [T, K, 1, 1]."""
        return joined([one(held) for one in self.outputs])


@dataclass(frozen=True, eq=False)
class LoweredGraph:
    """``parts[i]``: the origin of layer i of ``graph``."""

    graph: Graph
    parts: tuple[Part, ...]
    unpacking: Unpacking | Unpackings


@dataclass(frozen=True, eq=False)
class LoweredSpec:
    """``parts[i]``: the origin of layer i of ``spec``.

    ``differences``: what is sent differently from the original, by the layer that it begins with.
    Where it is empty, the lowered spec decodes to the original's output exactly, as long as nothing
    overflows.
    """

    spec: Spec
    parts: tuple[Part, ...]
    unpacking: Unpacking | Unpackings
    differences: tuple[str, ...]
    passing: tuple[int | None, ...]
    """As ``passing_thresholds`` says."""


def lower(graph: Graph) -> LoweredGraph:
    """The graph as a chain of convolutions with symmetric pads and dense layers, with ReLUs.

    Raises ConversionError naming the layer and a remedy where no exact form exists.
    """
    return _lower(graph, signed=graph.preprocessing.may_be_negative)


def _lower(graph: Graph, *, signed: bool) -> LoweredGraph:
    pooled, outputs = lower_pools(graph, signed=signed)
    if graph.is_chain:
        _check_order(graph)
        parts, packed = pack(pooled, graph.input_shape)
        slots = [Slot(len(parts), packed)]
    else:
        output_planes = [plane for plane, _ in outputs]
        parts, slots = as_chain(pooled, graph.input_shape, output_planes, signed_input=signed)
    layers = tuple(part.layer for part in parts)
    lowered = replace(graph, layers=layers, output_names=())
    return LoweredGraph(lowered, tuple(parts), _unpacking(graph, outputs, slots))


def _unpacking(
    graph: Graph, outputs: Sequence[tuple[int, Held]], slots: Sequence[Slot]
) -> Unpacking | Unpackings:
    each = tuple(
        Unpacking(shape, slot.packed.packing, held.signs, slot.first)
        for shape, (_, held), slot in zip(graph.output_shapes, outputs, slots, strict=True)
    )
    return each[0] if len(each) == 1 else Unpackings(each)


def lower_spec(spec: Spec) -> LoweredSpec:
    """The spec lowered by the same passes, on the same grid.

    A layer's threshold and right shift stay with the layer's own neurons. The layers of its max
    pooling send every change: the maximum of values that are each wrong by less than the threshold
    is wrong by less than the threshold, but thresholds at every step of the tree would add up. In
    front of a sum, the summing layer gets the threshold, because the errors of its inputs add up
    as well.

    Raises ConversionError where netx has no equal network.
    """
    if spec.memoryless_layers:
        name = spec.memoryless_layers[0] if spec.input_is_stateful else "the input"
        raise ConversionError(
            f"{name} is memoryless, and netx has no such neuron; convert without memoryless layers"
        )
    lowered = _lower(graph_of_spec(spec), signed=_is_signed(spec))
    layers = tuple(_spec_layer(part, spec, lowered.parts) for part in lowered.parts)
    return LoweredSpec(
        replace(spec, layers=layers, output_names=()),
        lowered.parts,
        lowered.unpacking,
        _differences(spec),
        passing_thresholds(spec, lowered.parts, layers),
    )


def graph_of_spec(spec: Spec) -> Graph:
    """The spec's weights and biases as a float graph, in units of the scaled activation."""
    layers = []
    for layer in spec.layers:
        first, *others = (
            replace(synapse, weight=(synapse.weight / UNITS).astype(np.float32))
            for synapse in layer.synapses
        )
        layers.append(
            Layer(
                layer.name,
                first.geometry,
                first.weight,
                None if layer.bias is None else (layer.bias / UNITS).astype(np.float32),
                layer.relu,
                layer.pool,
                layer.input_shape,
                source=first.source,
                joined=tuple(others),
            )
        )
    return Graph(spec.input_shape, tuple(layers), spec.input_scale, output_names=spec.output_names)


def _spec_layer(part: Part, spec: Spec, parts: Sequence[Part]) -> SpecLayer:
    layer, where, original = part.layer, f"layer {part.layer.name}", spec.layers[part.origin]
    summed = original.pool is not None and original.pool.kind == "sum"
    carries_threshold = part.role == ("sum" if summed else "linear")
    shift = original.shift if part.role == "linear" else SHIFT
    if part.carried.size and shift not in _CARRYING_SHIFTS:
        raise ConversionError(
            f"{where}: no weight makes up for its right shift of {shift} bits in the maps that it"
            f" carries along; {OTHER_WAY}"
        )
    bias = None
    try:
        if layer.bias is not None:
            bias = narrowed(np.rint(layer.bias * UNITS), np.int32, f"{where}: a bias")
        return SpecLayer(
            name=layer.name,
            geometry=layer.geometry,
            weight=narrowed(_integers(part, shift), np.int16, f"{where}: a weight"),
            bias=bias,
            relu=True,
            pool=None,
            threshold=original.threshold if carries_threshold else 0,
            scale=_scales(part, spec, parts),
            input_shape=layer.input_shape,
            shift=shift,
            n_carried=len(part.carried),
        )
    except ModelError as error:
        raise ConversionError(f"{error} after lowering: {_advice(original)}") from error


def _integers(part: Part, shift: int) -> NDArray[np.float64]:
    """The weights in 1/64. A carried value passes the right shift unchanged."""
    weight = np.rint(part.layer.weight * UNITS)
    if len(part.carried):
        weight[len(part.channels) :] *= 2.0 ** (shift - SHIFT)
    return np.asarray(weight, np.float64)


def _scales(part: Part, spec: Spec, parts: Sequence[Part]) -> NDArray[np.float64]:
    """Of all channels; 1 for the input's, which has no scale of its own."""
    own = spec.layers[part.origin].scale[part.channels]
    carried = [
        1.0 if plane == 0 else spec.layers[parts[plane - 1].origin].scale[channel]
        for plane, channel in part.carried.tolist()
    ]
    return np.concatenate([own, np.array(carried, np.float64)])


def _advice(original: SpecLayer) -> str:
    if original.joined:
        return (
            "a value that it reads twice has the sum of both weights, and a layer without ReLU a"
            f" negative half; {OTHER_WAY}"
        )
    return (
        "the negative half of a layer without ReLU needs weights of -254 or more; convert with more"
        " headroom"
    )


def _is_signed(spec: Spec) -> bool:
    """Whether the network's input may be negative."""
    return spec.input_code.bounds[0] < 0


def _differences(spec: Spec) -> tuple[str, ...]:
    sentences = []
    planes = [_is_signed(spec)]
    for layer, reads in zip(spec.layers, spec.reads, strict=True):
        pool = layer.pool
        signed = may_be_negative(layer, signed_input=any(planes[plane] for plane in reads))
        planes.append(signed)
        if pool is not None and pool.kind == "sum":
            sentences.append(
                f"{layer.name}: each of {pool.window} pooled values is rounded before they are"
                " summed, the original rounds the sum"
            )
        elif pool is not None and pool.window > 1 and layer.threshold:
            sentences.append(
                f"{layer.name}: its threshold acts on each of {pool.window} values before their"
                " maximum, the original's on the maximum"
            )
        if signed and layer.threshold:
            sentences.append(
                f"{layer.name}: without a ReLU, the threshold acts on the positive and the negative"
                " half of a value, the original's on the value"
            )
    return tuple(sentences)


def _check_order(graph: Graph) -> None:
    flat = False
    for layer in graph.layers:
        if flat and not layer.geometry.reads_flat:
            raise ConversionError(
                f"layer {layer.name}: a {layer.geometry.name} after a dense layer; netx has dense"
                " layers at the end only, so write the dense layer as a convolution"
            )
        flat = flat or layer.geometry.reads_flat
        if flat and layer.pool is not None:
            raise ConversionError(
                f"layer {layer.name}: pooling after a dense layer; leave it out, there is one pixel"
            )
