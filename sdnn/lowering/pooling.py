"""Rewrites pooling and missing ReLUs as convolutions followed by ReLU.

This is the first half of lowering. A value may be the signed sum of several channels that hold it;
the next layer absorbs the sum by using its kernel once per channel. With that,

    max(x, y) = relu(x - y) + y
    x         = relu(x) - relu(-x)      where there is no ReLU

so a maximum over n values is a tree of ceil(log2 n) layers, rows first, then columns: its first
layer is a convolution that reads the window, the others are 1x1. A sum over a window is a
convolution with equal positive weights, whose ReLU changes nothing. All of this is exact.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Pads, Pair, Shape
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import BaseLayer, Graph, Layer, Synapse, with_synapses
from ann2sdnn.graph.pooling import Pool

Role = Literal["linear", "max", "sum"]
Signs = tuple[int, ...]
Matrix = NDArray[np.float32]

HELD_ONCE: Signs = (1,)


@dataclass(frozen=True, eq=False)
class Part:
    """One layer of a lowered network.

    ``origin``: index of the original layer. ``role``: ``linear`` is its own operation, ``max`` and
    ``sum`` belong to its pooling. ``channels`` [O]: the original channel of each channel.
    ``reads``: the planes that its synapses read; 0 is the input, i + 1 the output of part i.
    ``carried`` [n, 2]: of each of the last n channels, which pass on what they receive (``chain``),
    the plane and the original channel of that.
    """

    layer: Layer
    origin: int
    role: Role
    channels: NDArray[np.int64]
    reads: tuple[int, ...] = ()
    carried: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))


@dataclass(frozen=True)
class Held:
    """A tensor of ``shape`` whose values are each held as the sum of consecutive channels times
    ``signs``. ``signed``: values can be negative.
    """

    shape: Shape
    signs: Signs = HELD_ONCE
    signed: bool = False

    @property
    def channels(self) -> NDArray[np.int64]:
        """The channel of ``shape`` that each held channel belongs to."""
        return np.repeat(np.arange(self.shape[0]), len(self.signs))


def lower_pools(graph: Graph, *, signed: bool) -> tuple[list[Part], list[tuple[int, Held]]]:
    """Layers without pooling, each with a ReLU, and of each output its plane and how that holds it.

    Planes are counted as in ``Part.reads``. ``signed``: the network's input may be negative.
    """
    parts: list[Part] = []
    planes = [(0, Held(graph.input_shape, signed=signed))]
    for index, (layer, reads) in enumerate(zip(graph.layers, graph.reads, strict=True)):
        sources = [planes[plane] for plane in reads]
        synapses = [
            absorb(synapse, held.signs)
            for synapse, (_, held) in zip(layer.synapses, sources, strict=True)
        ]
        is_signed = any(held.signed for _, held in sources)
        linear, held = _rectified(with_synapses(layer, synapses, pool=None), is_signed)
        read = tuple(plane for plane, _ in sources)
        parts.append(Part(linear, index, "linear", held.channels, reads=read))
        if layer.pool is not None:
            pooled, held = _lower_pool(layer.name, layer.pool, held, index)
            for part in pooled:
                parts.append(replace(part, reads=(len(parts),)))
        planes.append((len(parts), held))
    return parts, [planes[plane] for plane in graph.output_planes]


def absorb(synapse: Synapse, signs: Signs) -> Synapse:
    """The synapse for an input that holds each value in len(signs) channels."""
    if signs == HELD_ONCE:
        return synapse
    channels, height, width = synapse.input_shape
    weight = synapse.geometry.interleaved_inputs(
        [sign * synapse.weight for sign in signs], channels
    )
    return replace(synapse, weight=weight, input_shape=(channels * len(signs), height, width))


def may_be_negative(layer: BaseLayer, *, signed_input: bool) -> bool:
    """Whether a ReLU would change activations of ``layer``; ``signed_input``: one that it reads may
    be negative.
    """
    positive = all((synapse.weight >= 0).all() for synapse in layer.synapses)
    positive = positive and (layer.bias is None or bool((layer.bias >= 0).all()))
    return not layer.relu and (signed_input or not positive)


def _rectified(layer: Layer, signed_input: bool) -> tuple[Layer, Held]:
    """The layer with a ReLU: in a positive and a negative half where a ReLU would change values."""
    if not may_be_negative(layer, signed_input=signed_input):
        return replace(layer, relu=True), Held(layer.preactivation_shape)
    signs = (1, -1)
    bias = None if layer.bias is None else np.stack([layer.bias, -layer.bias], axis=1).ravel()
    synapses = [
        replace(
            synapse,
            weight=synapse.geometry.interleaved_outputs(
                [sign * synapse.weight for sign in signs], synapse.input_shape[0]
            ),
        )
        for synapse in layer.synapses
    ]
    halves = with_synapses(layer, synapses, bias=bias, relu=True)
    return halves, Held(layer.preactivation_shape, signs, signed=True)


def _lower_pool(name: str, pool: Pool, held: Held, origin: int) -> tuple[list[Part], Held]:
    if pool.kind != "max":
        value = pool.n_summed / pool.window
        window = np.full((1, 1, *pool.kernel), value, np.float32)
        layer = _grouped(f"{name}.sum", window, pool.stride, pool.pads, held)
        layer, after = _rectified(layer, held.signed)
        return [Part(layer, origin, "sum", after.channels)], after
    parts: list[Part] = []
    for axis in range(2):
        stages, held = _maximum_along(axis, pool, held)
        channels = np.arange(held.shape[0])
        for stage in stages:
            layer = replace(stage, name=f"{name}.max{len(parts) + 1}")
            copies = layer.preactivation_shape[0] // held.shape[0]
            parts.append(Part(layer, origin, "max", np.repeat(channels, copies)))
    return parts, held


def _maximum_along(axis: int, pool: Pool, held: Held) -> tuple[list[Layer], Held]:
    """The tree that takes the maximum of the windows' rows (axis 0) or columns (axis 1)."""
    n_values, stride = pool.kernel[axis], pool.stride[axis]
    begin, end = pool.pads[axis], pool.pads[axis + 2]
    if n_values == 1 and stride == 1 and begin == end == 0:
        return [], held
    channels = held.shape[0]
    rows, values = pair_up(np.eye(n_values, dtype=np.float32), held.signed)
    window = rows.reshape(-1, 1, n_values, 1) if axis == 0 else rows.reshape(-1, 1, 1, n_values)
    strides: Pair = (stride, 1) if axis == 0 else (1, stride)
    pads = (begin, 0, end, 0) if axis == 0 else (0, begin, 0, end)
    stages = [replace(_grouped("window", window, strides, pads, held), relu=True)]
    while len(values) > 1:
        rows, values = pair_up(values, held.signed)
        weight = np.tile(rows, (channels, 1))[:, :, None, None]
        geometry = Convolution(groups=channels)
        shape = stages[-1].output_shape
        stages.append(Layer("pairs", geometry, weight, None, True, None, shape))
    signs = tuple(int(sign) for sign in values[0])
    return stages, Held((channels, *stages[-1].output_shape[1:]), signs, held.signed)


def pair_up(values: Matrix, signed: bool) -> tuple[Matrix, Matrix]:
    """One step of the tree, for one channel.

    ``values`` [V, E] are signed sums of E inputs. Returns the weights [E', E] of the E' ReLUs, and
    the ceil(V / 2) maxima of neighbours as signed sums of those, [V', E'].
    """
    rows: list[Matrix] = []
    maxima: list[list[tuple[int, int]]] = []

    def emit(row: Matrix, sign: int) -> None:
        maxima[-1].append((len(rows), sign))
        rows.append(row)

    for first in range(0, len(values), 2):
        maxima.append([])
        pair = values[first : first + 2]
        if len(pair) == 2:
            emit(pair[0] - pair[1], 1)
        emit(pair[-1], 1)
        if signed:
            emit(-pair[-1], -1)
    after = np.zeros((len(maxima), len(rows)), np.float32)
    for row, terms in enumerate(maxima):
        for column, sign in terms:
            after[row, column] = sign
    return np.stack(rows), after


def _grouped(name: str, window: Matrix, stride: Pair, pads: Pads, held: Held) -> Layer:
    """``window`` [E, 1, kh, kw] applied to every channel of ``held``."""
    channels = held.shape[0]
    weight = np.tile(window, (channels, 1, 1, 1))
    geometry = Convolution(stride=stride, pads=pads, groups=channels)
    layer = Layer(name, geometry, weight, None, False, None, held.shape)
    return with_synapses(layer, [absorb(synapse, held.signs) for synapse in layer.synapses])
