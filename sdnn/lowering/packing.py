"""Rewrites transposed convolutions as convolutions on grids packed in channels.

This is the second half of lowering. Every layer becomes a convolution with equal pads at both ends,
or a dense layer whose columns follow the packing of its input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.graph.kinds import AxisTaps, Convolution
from ann2sdnn.graph.layers import Layer, Synapse, Weights
from ann2sdnn.sdnn.lowering.axis import PackedAxis, pack_axis
from ann2sdnn.sdnn.lowering.pooling import Part
from ann2sdnn.support.errors import ConversionError

UNPACKED: Pair = (1, 1)
# lava-nc's process model of a convolution keeps the number of groups in a signed byte.
MOST_GROUPS = 127


@dataclass(frozen=True)
class Packed:
    """A tensor [C, H, W] held as [ry * rx * C, ceil(H / ry), ceil(W / rx)]."""

    shape: Shape
    packing: Pair = UNPACKED

    @property
    def positions(self) -> int:
        """Fine pixels in a coarse one."""
        return self.packing[0] * self.packing[1]

    @property
    def held_shape(self) -> Shape:
        """Shape on the coarse grid."""
        channels, height, width = self.shape
        rows, columns = self.packing
        return (channels * self.positions, -(-height // rows), -(-width // columns))


def pack(parts: Sequence[Part], input_shape: Shape) -> tuple[list[Part], Packed]:
    """The layers on packed grids, and the packing of the last layer's output.

    Raises ConversionError naming the layer where a size does not divide.
    """
    packed = Packed(input_shape)
    result: list[Part] = []
    for part in parts:
        layer, after = packed_layer(part.layer, packed)
        result.append(replace(part, layer=layer, channels=np.tile(part.channels, after.positions)))
        packed = after
    return result, packed


def packed_layer(layer: Layer, packed: Packed) -> tuple[Layer, Packed]:
    """A layer with one synapse for an input held as ``packed`` says, and how its output is held.

    Raises ConversionError naming the layer where a size does not divide.
    """
    geometry = layer.geometry
    if geometry.reads_flat:
        weight = _dense_weight(layer.weight, packed)
        held = replace(layer, weight=weight, input_shape=packed.held_shape, source=None)
        return held, Packed(layer.preactivation_shape)
    taps = [axis_taps(layer.name, layer.synapses[0], axis) for axis in range(2)]
    try:
        rows, columns = map(pack_axis, taps, packed.packing)
    except ConversionError as error:
        raise ConversionError(
            f"layer {layer.name}: {error}; choose a size of the network's input that divides, or"
            " give the transposed convolution before it an output size that does"
        ) from error
    after = Packed(layer.preactivation_shape, (rows.packing, columns.packing))
    blocks = _Blocks.of(rows, columns, packed.packing)
    n_channel_groups = geometry.groups if blocks.aligned else 1
    weight = merged(weight_by_output(layer.synapses[0]), geometry.groups, n_channel_groups)
    weight = _packed_weight(weight, rows, columns, blocks)
    n_groups = blocks.count * n_channel_groups
    kept = _few_enough(n_groups)
    held = Layer(
        layer.name,
        Convolution(
            stride=(rows.stride, columns.stride),
            pads=(rows.pad, columns.pad, rows.pad, columns.pad),
            dilation=(rows.dilation, columns.dilation),
            groups=kept,
        ),
        merged(weight, n_groups, kept),
        None if layer.bias is None else np.tile(layer.bias, after.positions),
        layer.relu,
        None,
        packed.held_shape,
    )
    return held, after


def axis_taps(name: str, synapse: Synapse, axis: int) -> AxisTaps:
    """The taps of a synapse of layer ``name`` along an axis; ConversionError where it has none."""
    taps = synapse.geometry.axis_taps(axis, synapse.input_shape, synapse.weight.shape)
    if taps is None:
        raise ConversionError(
            f"layer {name}: a {synapse.geometry.name} cannot be written as convolutions, which are"
            " all that netx has; run this network with --backend engine"
        )
    return taps


def weight_by_output(synapse: Synapse) -> Weights:
    """The weight [O, I / groups, kh, kw] of a convolution or a transposed convolution."""
    parts = synapse.geometry.split(synapse.weight, synapse.input_shape[0])
    weight: Weights = parts.reshape(-1, parts.shape[2], *synapse.weight.shape[2:])
    return weight


@dataclass(frozen=True)
class _Blocks:
    """Connections of sub-pixel positions: ``count`` blocks of consecutive positions that are not
    connected, each with ``sources`` of the input and ``targets`` of the output.
    """

    count: int
    sources: int
    targets: int
    packing_in: Pair
    packing_out: Pair

    @property
    def aligned(self) -> bool:
        """Whether each position is connected to one position only, which keeps channel groups."""
        return self.sources == self.targets == 1

    @classmethod
    def of(cls, rows: PackedAxis, columns: PackedAxis, packing: Pair) -> "_Blocks":
        """The most blocks that the taps allow."""
        n_in, n_out = packing[0] * packing[1], rows.packing * columns.packing
        pairs = [
            (ty.target * columns.packing + tx.target, ty.source * packing[1] + tx.source)
            for ty in rows.taps
            for tx in columns.taps
        ]
        count = max(
            n
            for n in range(1, min(n_in, n_out) + 1)
            if n_in % n == 0
            and n_out % n == 0
            and all(q // (n_out // n) == p // (n_in // n) for q, p in pairs)
        )
        return cls(count, n_in // count, n_out // count, packing, (rows.packing, columns.packing))


def _packed_weight(
    weight: Weights, rows: PackedAxis, columns: PackedAxis, blocks: _Blocks
) -> Weights:
    """[positions * O, inputs a group, kh, kw] from ``weight`` [O, inputs a group, kh, kw]."""
    n_out, n_in = weight.shape[:2]
    n_targets = blocks.packing_out[0] * blocks.packing_out[1]
    packed = np.zeros(
        (n_targets * n_out, blocks.sources * n_in, rows.kernel, columns.kernel), weight.dtype
    )
    for ty, y in zip(rows.taps, rows.slots, strict=True):
        for tx, x in zip(columns.taps, columns.slots, strict=True):
            target = ty.target * columns.packing + tx.target
            source = (ty.source * blocks.packing_in[1] + tx.source) % blocks.sources
            packed[
                target * n_out : (target + 1) * n_out, source * n_in : (source + 1) * n_in, y, x
            ] = weight[:, :, ty.k, tx.k]
    return packed


def merged(weight: Weights, groups: int, into: int) -> Weights:
    """``weight`` [O, I / groups, kh, kw] with ``into`` groups, zeros between the former groups."""
    if into == groups:
        return weight
    n_out, n_in, merged = weight.shape[0] // groups, weight.shape[1], groups // into
    full = np.zeros((len(weight), merged * n_in, *weight.shape[2:]), weight.dtype)
    for g in range(groups):
        outs, place = slice(g * n_out, (g + 1) * n_out), g % merged
        full[outs, place * n_in : (place + 1) * n_in] = weight[outs]
    return full


def _few_enough(groups: int) -> int:
    """The largest divisor of ``groups`` that lava-nc can count."""
    return max(n for n in range(1, min(groups, MOST_GROUPS) + 1) if groups % n == 0)


def _dense_weight(weight: Weights, packed: Packed) -> Weights:
    """The columns of ``weight`` [O, C * H * W] in the order of the packed tensor, flattened.

    Pixels beyond the image get weight 0.
    """
    channels, height, width = packed.shape
    rows, columns = packed.packing
    _, coarse_height, coarse_width = packed.held_shape
    image = np.zeros(
        (len(weight), channels, coarse_height * rows, coarse_width * columns), weight.dtype
    )
    image[:, :, :height, :width] = weight.reshape(-1, channels, height, width)
    split = image.reshape(-1, channels, coarse_height, rows, coarse_width, columns)
    # -> [O, row position, column position, C, coarse row, coarse column]
    moved: Weights = split.transpose(0, 3, 5, 1, 2, 4).reshape(len(weight), -1)
    return moved
