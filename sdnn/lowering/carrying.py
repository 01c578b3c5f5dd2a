"""Layers of a chain that compute one population and carry planes along.

A carried plane has channels of its own in the layer: each passes one value on with weight 1. What
it receives are changes, and without a threshold it sends the same changes, one time step later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.kinds import AxisTaps, Convolution, Dense
from ann2sdnn.graph.layers import Layer, Synapse, Weights, with_synapses
from ann2sdnn.sdnn.lowering.axis import Tap, fitted, packing_ratio, reads_beyond, taps_on
from ann2sdnn.sdnn.lowering.packing import Packed, axis_taps, merged, weight_by_output
from ann2sdnn.sdnn.lowering.pooling import absorb
from ann2sdnn.sdnn.lowering.slots import Carried, Layout, Slot, in_order
from ann2sdnn.support.errors import ConversionError

# Of a layer that carries maps along, zeros included.
_MOST_WEIGHTS = 2**26
# Inputs that a matrix is made for together, which bounds the memory.
_INPUTS_AT_ONCE = 256
OTHER_WAY = "Sdnn.to_lava() builds the network from lava's processes, without carrying"

AxisPair = tuple[AxisTaps, AxisTaps]


@dataclass(frozen=True)
class _Wire:
    """A linear operation from a slot in front of the layer to one behind it.

    ``weight`` [O, I, kh, kw] on the planes' own grids; ``taps`` of rows and of columns.
    """

    weight: Weights
    taps: tuple[list[Tap], list[Tap]]
    source: Slot
    target: Slot


def carrying_layer(
    layer: Layer, sources: Sequence[Slot], own: int, carried: Sequence[Carried], entering: Layout
) -> tuple[Layer, Layout]:
    """One layer that computes ``layer``, the plane number ``own``, and passes ``carried`` on.

    ``sources``: what its synapses read, slots of ``entering``. Returns the layer, whose last
    channels are the carried ones, and what the chain holds behind it. Raises ConversionError,
    naming the layer, where there is no such layer.
    """
    synapses = [
        absorb(synapse, slot.signs) for synapse, slot in zip(layer.synapses, sources, strict=True)
    ]
    layer = with_synapses(layer, synapses)
    if entering.is_flat or any(synapse.geometry.reads_flat for synapse in synapses):
        return _dense(layer, sources, own, carried, entering)
    return _convolution(layer, sources, own, carried, entering)


def _convolution(
    layer: Layer, sources: Sequence[Slot], own: int, carried: Sequence[Carried], entering: Layout
) -> tuple[Layer, Layout]:
    operations = [
        _operation(layer.name, synapse, slot, entering.grid)
        for synapse, slot in zip(layer.synapses, sources, strict=True)
    ]
    packing, stride = _steps(layer.name, operations, sources)
    main, *behind = in_order(
        [
            Slot(own, Packed(layer.preactivation_shape, packing)),
            *(one.behind(_times(one.slot.packed.packing, stride)) for one in carried),
        ]
    )
    grid = _grid([main, *behind])
    main = replace(main, zero_beyond=main.fills(grid))
    _check_inside(layer.name, operations, sources, entering.grid)
    wires = [
        _Wire(
            merged(weight_by_output(synapse), synapse.geometry.groups, 1),
            _taps(taken, slot, stride),
            slot,
            main,
        )
        for synapse, taken, slot in zip(layer.synapses, operations, sources, strict=True)
    ]
    wires += [
        _Wire(
            one.weight[:, :, None, None],
            _taps((_IDENTITY, _IDENTITY), one.slot, stride),
            one.slot,
            target,
        )
        for one, target in zip(carried, behind, strict=True)
    ]
    rows, columns = (
        fitted(
            [tap.offset for wire in wires for tap in wire.taps[axis]],
            stride[axis],
            entering.grid[axis],
            grid[axis],
        )
        for axis in range(2)
    )
    n_out = main.n_channels + sum(slot.n_channels for slot in behind)
    weight = _zeros(layer.name, (n_out, entering.n_channels, rows.size, columns.size))
    for wire in wires:
        for down in wire.taps[0]:
            for across in wire.taps[1]:
                at = (rows.slot(down.offset), columns.slot(across.offset))
                outs, ins = _channels(wire, down, across)
                # Two synapses of a population may read the same value.
                weight[outs, ins, at[0], at[1]] += wire.weight[:, :, down.k, across.k]
    geometry = Convolution(
        stride=stride,
        pads=(rows.pad, columns.pad, rows.pad, columns.pad),
        dilation=(rows.dilation, columns.dilation),
    )
    bias = _bias(layer, main, n_out)
    shape = (entering.n_channels, *entering.grid)
    held = Layer(layer.name, geometry, weight, bias, layer.relu, None, shape)
    return held, Layout((main, *behind), grid)


# The taps of a plane that is passed on do not depend on its size.
_IDENTITY = AxisTaps(False, 1, 1, 0, 1, 1, 1)


def _operation(name: str, synapse: Synapse, slot: Slot, grid: Pair) -> AxisPair:
    """The taps of rows and of columns.

    Where the result has one pixel, any stride gives it. The whole grid as stride computes nothing
    beside it.
    """
    rows, columns = (
        replace(taken, stride=packing * n_coarse)
        if taken.output_size == 1 and not taken.transposed
        else taken
        for taken, packing, n_coarse in zip(
            (axis_taps(name, synapse, axis) for axis in range(2)),
            slot.packed.packing,
            grid,
            strict=True,
        )
    )
    return rows, columns


def _steps(name: str, operations: Sequence[AxisPair], sources: Sequence[Slot]) -> tuple[Pair, Pair]:
    """The packing of the result, and the stride on the coarse grid."""
    found = []
    for axis in range(2):
        ratios = {
            packing_ratio(taken[axis], slot.packed.packing[axis])
            for taken, slot in zip(operations, sources, strict=True)
        }
        if len(ratios) > 1:
            raise ConversionError(
                f"layer {name}: it reads maps whose pixels are of different sizes, by strides that"
                f" no single convolution has; {OTHER_WAY}"
            )
        found.append(ratios.pop())
    rows, columns = found
    return (rows.numerator, columns.numerator), (rows.denominator, columns.denominator)


def _check_inside(
    name: str, operations: Sequence[AxisPair], sources: Sequence[Slot], grid: Pair
) -> None:
    for taken, slot in zip(operations, sources, strict=True):
        for operation, packing, n_coarse in zip(taken, slot.packed.packing, grid, strict=True):
            if not slot.zero_beyond and reads_beyond(operation, packing, n_coarse):
                raise ConversionError(
                    f"layer {name}: beside the maps that are carried along, its input of"
                    f" {operation.input_size} pixels is held in {packing * n_coarse}, and it would"
                    f" read what lies beyond the image; {OTHER_WAY}"
                )


def _times(packing: Pair, stride: Pair) -> Pair:
    return packing[0] * stride[0], packing[1] * stride[1]


def _grid(slots: Sequence[Slot]) -> Pair:
    """The smallest coarse grid that holds all planes."""
    rows, columns = (max(slot.packed.held_shape[1 + axis] for slot in slots) for axis in range(2))
    return rows, columns


def _taps(taken: AxisPair, slot: Slot, stride: Pair) -> tuple[list[Tap], list[Tap]]:
    rows, columns = (
        taps_on(taken[axis], slot.packed.packing[axis], stride[axis]) for axis in (0, 1)
    )
    return rows, columns


def _channels(wire: _Wire, down: Tap, across: Tap) -> tuple[slice, slice]:
    """The channels of the result and of the input that a pair of taps connects."""
    n_out, n_in = wire.weight.shape[:2]
    target = down.target * wire.target.packed.packing[1] + across.target
    source = down.source * wire.source.packed.packing[1] + across.source
    out, into = wire.target.first + target * n_out, wire.source.first + source * n_in
    return slice(out, out + n_out), slice(into, into + n_in)


def _dense(
    layer: Layer, sources: Sequence[Slot], own: int, carried: Sequence[Carried], entering: Layout
) -> tuple[Layer, Layout]:
    shape = layer.preactivation_shape
    main, *behind = in_order(
        [
            Slot(own, Packed(shape, shape[1:])),
            *(one.behind(one.slot.packed.shape[1:]) for one in carried),
        ]
    )
    n_out = main.n_channels + sum(slot.n_channels for slot in behind)
    n_in = entering.n_channels * entering.grid[0] * entering.grid[1]
    weight = _zeros(layer.name, (n_out, n_in))
    for synapse, slot in zip(layer.synapses, sources, strict=True):
        rows, columns = main.indices((1, 1)).ravel(), slot.indices(entering.grid).ravel()
        weight[np.ix_(rows, columns)] += _matrix(synapse)
    for one, target in zip(carried, behind, strict=True):
        rows, columns = target.indices((1, 1)), one.slot.indices(entering.grid)
        for out, into in np.argwhere(one.weight):
            weight[rows[out], columns[into]] = one.weight[out, into]
    held = Layer(
        layer.name,
        Dense(),
        weight,
        _bias(layer, main, n_out),
        layer.relu,
        None,
        (entering.n_channels, *entering.grid),
    )
    return held, Layout((main, *behind), (1, 1), is_flat=True)


def _zeros(name: str, shape: tuple[int, ...]) -> Weights:
    if math.prod(shape) > _MOST_WEIGHTS:
        raise ConversionError(
            f"layer {name}: with the maps that it carries along it has"
            f" {' x '.join(f'{size:,}' for size in shape)} weights, more than"
            f" {_MOST_WEIGHTS:,}; {OTHER_WAY}"
        )
    return np.zeros(shape, np.float32)


def _matrix(synapse: Synapse) -> Weights:
    """The synapse as a matrix [O * H' * W', C * H * W]."""
    n_in = math.prod(synapse.input_shape)
    if synapse.geometry.reads_flat:
        flat: Weights = synapse.weight.reshape(-1, n_in)
        return flat
    weight = torch.from_numpy(synapse.weight.astype(np.float64))
    rows = []
    for inputs in torch.split(torch.arange(n_in), _INPUTS_AT_ONCE):
        one_hot = F.one_hot(inputs, n_in).double().reshape(-1, *synapse.input_shape)
        rows.append(synapse.geometry.linear(one_hot, weight).flatten(1).float())
    matrix: Weights = torch.cat(rows).T.numpy()
    return matrix


def _bias(layer: Layer, main: Slot, n_out: int) -> Weights | None:
    if layer.bias is None:
        return None
    bias = np.zeros(n_out, np.float32)
    bias[: main.n_channels] = np.tile(layer.bias, main.packed.positions)
    return bias
