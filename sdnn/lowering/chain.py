"""Rewrites a network with branches as a chain of layers, which is all that netx loads.

Layer k of the chain computes part k, in their order, except that parts of one pixel come last. What
later parts read, and what the network gives as outputs, is carried along in further channels of the
layers between (``carrying.py``), one time step per layer, so everything that a part reads arrives
in the same time step.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Dense
from ann2sdnn.graph.layers import Layer
from ann2sdnn.sdnn.lowering.carrying import carrying_layer
from ann2sdnn.sdnn.lowering.packing import Packed, packed_layer
from ann2sdnn.sdnn.lowering.pooling import HELD_ONCE, Part
from ann2sdnn.sdnn.lowering.slots import Carried, Layout, Slot

Carriers = NDArray[np.int64]


def as_chain(
    parts: Sequence[Part], input_shape: Shape, outputs: Sequence[int], *, signed_input: bool
) -> tuple[list[Part], list[Slot]]:
    """The chain's layers, and where its last layer has the planes of ``outputs``.

    ``signed_input``: the input's values may be negative. Raises ConversionError, naming the layer,
    where a part and what is carried past it do not fit one layer.
    """
    parts, outputs = _single_pixels_last(parts, outputs)
    last = _last_readers(parts, outputs)
    layout = Layout((Slot(0, Packed(input_shape)),), input_shape[1:])
    chain: list[Part] = []
    for index, part in enumerate(parts):
        carried = [
            Carried(slot, signed_input and slot.plane == 0 and slot.signs == HELD_ONCE)
            for slot in layout.slots
            if last[slot.plane] > index
        ]
        sources = [layout.of(plane) for plane in part.reads]
        if _is_plain(part, carried, layout):
            layer, packed = packed_layer(part.layer, sources[0].packed)
            flat = layout.is_flat or part.layer.geometry.reads_flat
            slot = Slot(index + 1, packed)
            grid = packed.held_shape[1:]
            slot = replace(slot, zero_beyond=slot.fills(grid))
            layout = Layout((slot,), grid, flat)
        else:
            layer, layout = carrying_layer(part.layer, sources, index + 1, carried, layout)
        main, *behind = layout.slots
        channels = np.tile(part.channels, main.packed.positions)
        origins = [_origins(slot, parts) for slot in behind]
        passed = np.concatenate([np.zeros((0, 2), np.int64), *origins])
        chain.append(replace(part, layer=layer, channels=channels, carried=passed))
    return _without_unread(chain), [layout.of(plane) for plane in outputs]


def _single_pixels_last(
    parts: Sequence[Part], outputs: Sequence[int]
) -> tuple[list[Part], list[int]]:
    """The parts in another order that reads no plane too early, and the planes of ``outputs``.

    Maps that are carried past a layer of one pixel have a channel for each of their pixels, and
    what reads them then a weight for each. So such layers, and all that depends on them, follow
    the layers of maps.
    """
    moves = [False]
    for part in parts:
        is_single = part.layer.preactivation_shape[1:] == (1, 1)
        moves.append(is_single or any(moves[plane] for plane in part.reads))
    order = sorted(range(len(parts) + 1), key=moves.__getitem__)  # of planes, and stable
    place = {plane: index for index, plane in enumerate(order)}
    moved = [parts[plane - 1] for plane in order[1:]]
    return (
        [replace(part, reads=tuple(place[plane] for plane in part.reads)) for part in moved],
        [place[plane] for plane in outputs],
    )


def _last_readers(parts: Sequence[Part], outputs: Sequence[int]) -> list[int]:
    """For each plane the last part that reads it; an output is read behind the last part."""
    last = [-1] * (len(parts) + 1)
    for index, part in enumerate(parts):
        for plane in part.reads:
            last[plane] = index
    for plane in outputs:
        last[plane] = len(parts)
    return last


def _is_plain(part: Part, carried: Sequence[Carried], layout: Layout) -> bool:
    """Whether the layer is one of an ordinary chain, whose channels keep their groups."""
    (first, *others), geometry = layout.slots, part.layer.geometry
    return (
        not others
        and not carried
        and not part.layer.joined
        and first.signs == HELD_ONCE
        and first.packed.held_shape[1:] == layout.grid
        and (first.fills(layout.grid) or not first.zero_beyond)
        and (geometry.reads_flat or not layout.is_flat)
    )


def _origins(slot: Slot, parts: Sequence[Part]) -> Carriers:
    """[n, 2] of the slot's channels, as in ``Part.carried``."""
    n_terms = len(slot.signs)
    channels = np.repeat(np.arange(slot.packed.shape[0] // n_terms), n_terms)
    if slot.plane > 0:
        channels = parts[slot.plane - 1].channels
    tiled = np.tile(channels, slot.packed.positions)
    return np.stack([np.full_like(tiled, slot.plane), tiled], axis=1)


def _without_unread(chain: list[Part]) -> list[Part]:
    """The chain without carried channels that no later layer reads.

    A layer with a stride may read some of the pixels only, of which each has a channel.
    """
    result = list(chain)
    for index in range(len(chain) - 1, 0, -1):
        before, layer = result[index - 1], result[index].layer
        if len(before.carried) == 0:
            continue
        n_in = layer.input_shape[0]
        by_input = np.moveaxis(layer.weight.reshape(len(layer.weight), n_in, -1), 1, 0)
        is_read = by_input.reshape(n_in, -1).any(axis=1)
        is_read[: len(before.channels)] = True
        result[index] = replace(result[index], layer=_with_inputs(layer, is_read))
        result[index - 1] = replace(
            before,
            layer=_with_outputs(before.layer, is_read),
            carried=before.carried[is_read[len(before.channels) :]],
        )
    return result


def _with_inputs(layer: Layer, kept: NDArray[np.bool_]) -> Layer:
    n_in, height, width = layer.input_shape
    weight = layer.weight.reshape(len(layer.weight), n_in, *_taps(layer))[:, kept]
    if isinstance(layer.geometry, Dense):
        weight = weight.reshape(len(weight), -1)
    return replace(layer, weight=weight, input_shape=(int(kept.sum()), height, width))


def _taps(layer: Layer) -> tuple[int, ...]:
    return layer.input_shape[1:] if isinstance(layer.geometry, Dense) else layer.weight.shape[2:]


def _with_outputs(layer: Layer, kept: NDArray[np.bool_]) -> Layer:
    bias = None if layer.bias is None else layer.bias[kept]
    return replace(layer, weight=layer.weight[kept], bias=bias)
