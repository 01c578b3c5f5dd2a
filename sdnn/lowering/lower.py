"""Rewrites a graph or spec as convolutions and dense layers that stock netx can load.

netx has neither pooling nor transposed convolutions, only layers with a ReLU, and pads that are the
same at both ends. The passes that rewrite them are exact: first ``pooling``, then ``packing``. The
host reassembles the output (``Unpacking``).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.sdnn.lowering.packing import pack
from ann2sdnn.sdnn.lowering.pooling import Part, Signs, lower_pools, may_be_negative
from ann2sdnn.sdnn.spec.grid import SHIFT, UNITS
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError
from ann2sdnn.support.integers import narrowed


@dataclass(frozen=True)
class Unpacking:
    """Layout of the lowered network's output, which holds the original's of ``shape`` (C, H, W).

    A channel has three indices: the slowest is the position (y % packing, x % packing), then the
    original channel, then the terms, whose sum with ``signs`` is the value.
    """

    shape: Shape
    packing: Pair = (1, 1)
    signs: Signs = (1,)

    def __call__(self, held: Tensor) -> Tensor:
        """The original's output [T, C, H, W] for the lowered network's, [T, C', H', W']."""
        channels, height, width = self.shape
        rows, columns = self.packing
        terms = held.reshape(len(held), rows, columns, channels, len(self.signs), *held.shape[2:])
        signs = torch.tensor(self.signs, dtype=held.dtype)[:, None, None]
        values = (terms * signs).sum(dim=4)  # [T, ry, rx, C, H', W']
        fine = values.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)
        return fine[:, :, :height, :width]


@dataclass(frozen=True, eq=False)
class LoweredGraph:
    """``parts[i]``: the origin of layer i of ``graph``."""

    graph: Graph
    parts: tuple[Part, ...]
    unpacking: Unpacking


@dataclass(frozen=True, eq=False)
class LoweredSpec:
    """``parts[i]``: the origin of layer i of ``spec``.

    ``differences``: what is sent differently from the original, by the layer that it begins with.
    Where it is empty, the lowered spec decodes to the original's output exactly, as long as nothing
    overflows.
    """

    spec: Spec
    parts: tuple[Part, ...]
    unpacking: Unpacking
    differences: tuple[str, ...]


def lower(graph: Graph) -> LoweredGraph:
    """The graph as convolutions with symmetric pads and dense layers, each with a ReLU.

    Raises ConversionError naming the layer and a remedy where no exact form exists.
    """
    return _lower(graph, signed=graph.preprocessing.may_be_negative)


def _lower(graph: Graph, *, signed: bool) -> LoweredGraph:
    _check_order(graph)
    pooled, held = lower_pools(graph, signed=signed)
    parts, packed = pack(pooled, graph.input_shape)
    unpacking = Unpacking(graph.output_shape, packed.packing, held.signs)
    layers = tuple(part.layer for part in parts)
    return LoweredGraph(replace(graph, layers=layers), tuple(parts), unpacking)


def lower_spec(spec: Spec) -> LoweredSpec:
    """The spec lowered by the same passes, on the same grid.

    A layer's threshold and right shift stay with the layer's own neurons. The layers of its max
    pooling send every change: the maximum of values that are each wrong by less than the threshold
    is wrong by less than the threshold, but thresholds at every step of the tree would add up. In
    front of a sum, the summing layer gets the threshold, because the errors of its inputs add up
    as well.

    Raises ConversionError where netx has no equal network.
    """
    if not spec.is_chain:
        raise ConversionError(
            f"netx loads chains of layers, and {_branching(spec)}; the engine runs this network"
        )
    if spec.memoryless_layers:
        name = spec.memoryless_layers[0] if spec.input_is_stateful else "the input"
        raise ConversionError(
            f"{name} is memoryless, and netx has no such neuron; convert without memoryless layers"
        )
    lowered = _lower(graph_of_spec(spec), signed=_is_signed(spec))
    layers = tuple(_spec_layer(part, spec.layers[part.origin]) for part in lowered.parts)
    return LoweredSpec(
        replace(spec, layers=layers), lowered.parts, lowered.unpacking, _differences(spec)
    )


def _branching(spec: Spec) -> str:
    """What makes the network no chain."""
    for layer in spec.layers:
        if layer.joined:
            return f"layer {layer.name} has {len(layer.synapses)} synapses"
    for name, readers in zip(spec.plane_names, spec.readers, strict=True):
        if len(readers) > 1:
            return f"{len(readers)} layers read the output of {name}"
    return f"the network has {len(spec.output_planes)} outputs"


def graph_of_spec(spec: Spec) -> Graph:
    """The spec's weights and biases as a float graph, in units of the scaled activation."""
    layers = tuple(
        Layer(
            layer.name,
            layer.geometry,
            (layer.weight / UNITS).astype(np.float32),
            None if layer.bias is None else (layer.bias / UNITS).astype(np.float32),
            layer.relu,
            layer.pool,
            layer.input_shape,
        )
        for layer in spec.layers
    )
    return Graph(spec.input_shape, layers, spec.input_scale)


def _spec_layer(part: Part, original: SpecLayer) -> SpecLayer:
    layer, where = part.layer, f"layer {part.layer.name}"
    summed = original.pool is not None and original.pool.kind == "sum"
    carries_threshold = part.role == ("sum" if summed else "linear")
    bias = None
    try:
        if layer.bias is not None:
            bias = narrowed(np.rint(layer.bias * UNITS), np.int32, f"{where}: a bias")
        return SpecLayer(
            name=layer.name,
            geometry=layer.geometry,
            weight=narrowed(np.rint(layer.weight * UNITS), np.int16, f"{where}: a weight"),
            bias=bias,
            relu=True,
            pool=None,
            threshold=original.threshold if carries_threshold else 0,
            scale=original.scale[part.channels],
            input_shape=layer.input_shape,
            shift=original.shift if part.role == "linear" else SHIFT,
        )
    except ModelError as error:
        raise ConversionError(
            f"{error} after lowering: the negative half of a layer without ReLU needs weights of"
            " -254 or more; convert with more headroom"
        ) from error


def _is_signed(spec: Spec) -> bool:
    """Whether the network's input may be negative."""
    return spec.input_code.bounds[0] < 0


def _differences(spec: Spec) -> tuple[str, ...]:
    sentences = []
    signed = _is_signed(spec)
    for layer in spec.layers:
        pool = layer.pool
        signed = may_be_negative(layer, signed_input=signed)
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
