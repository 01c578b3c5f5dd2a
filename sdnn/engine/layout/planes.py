"""Planes of messages in an engine's memory, and which of their operations are counted where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.engine.instructions.vector import GROUP, LANES, padded
from ann2sdnn.sdnn.engine.layout.wiring import NOWHERE, Wiring
from ann2sdnn.sdnn.engine.loops.memory import Builder, Place
from ann2sdnn.sdnn.spec.spec import Spec

_BEHIND = 2 * LANES


class FanOut(NamedTuple):
    """Operations that a message of a plane causes at one synapse.

    ``row_classes`` [H] and ``column_classes`` [W]: those of a class reach the same taps. ``table``
    [row classes, column classes, C]: zero where there is no wiring.
    """

    row_classes: NDArray[np.int64]
    column_classes: NDArray[np.int64]
    table: NDArray[np.int64]

    @property
    def of_each(self) -> int | None:
        """Of every message, where all cause the same number."""
        first = int(self.table.flat[0])
        return first if (self.table == first).all() else None

    @property
    def by_column(self) -> NDArray[np.int32]:
        """[row classes, C, W]."""
        return self.table[:, self.column_classes].transpose(0, 2, 1).astype(np.int32)

    def hold(self, builder: Builder, n_lanes: int) -> dict[str, int]:
        """The fields of a plane or a synapse that has it; channels are padded to ``n_lanes``."""
        table = np.zeros((*self.table.shape[:2], n_lanes), np.int32)
        table[..., : self.table.shape[2]] = self.table
        return {
            "fan_out": builder.hold("fan_outs", table),
            "row_classes": builder.hold("tables", self.row_classes),
            "column_classes": builder.hold("tables", self.column_classes),
            "n_column_classes": table.shape[1],
            "n_lanes": n_lanes,
        }


def fan_out_of(wiring: Wiring | None, shape: Shape) -> FanOut:
    """That of a plane of ``shape`` at the synapse of ``wiring``."""
    channels, height, width = shape
    if wiring is None:
        nothing = np.zeros((1, 1, channels), np.int64)
        return FanOut(np.zeros(height, np.int64), np.zeros(width, np.int64), nothing)
    down, row_classes = np.unique(wiring.rows != NOWHERE, axis=0, return_inverse=True)
    across, column_classes = np.unique(wiring.columns != NOWHERE, axis=0, return_inverse=True)
    table = np.einsum(
        "ri,sj,ijc->rsc", down.astype(np.int64), across.astype(np.int64), wiring.fan_out
    )
    return FanOut(row_classes.reshape(-1), column_classes.reshape(-1), table)


@dataclass(frozen=True)
class Tally:
    """Where the operations of each synapse are counted.

    A plane's messages are looked at once, when they are written: what they cause at one synapse is
    added up there. Synapses at which every message causes the same number need no more than the
    number of messages. What is left is counted by the synapse, from the plane.
    """

    as_sent: tuple[FanOut, ...]
    """Of each plane, at the synapse that is counted when messages are written."""
    by_synapse: tuple[tuple[FanOut | None, ...], ...]
    """Of each layer and synapse: what it counts itself."""
    receivers: NDArray[np.int64]
    """[L + 1, L]: 1 where the layer has the synapse that is counted when a plane is written."""
    of_each: NDArray[np.int64]
    """[L + 1, L]: operations in a layer that every message of a plane causes beside those."""

    def operations(
        self, messages: NDArray[np.int64], caused: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """[..., L] but for what synapses counted, for the number of ``messages`` [..., L + 1] of
        each plane, and the operations that they ``caused`` as they were written.
        """
        return np.asarray(caused @ self.receivers + messages @ self.of_each, np.int64)


def tally_of(spec: Spec, wirings: Sequence[Sequence[Wiring | None]]) -> Tally:
    """That of the synapses of ``spec`` with ``wirings`` of each layer and synapse."""
    n_layers = len(spec.layers)
    as_sent = [fan_out_of(None, shape) for shape in spec.plane_shapes]
    by_synapse: list[list[FanOut | None]] = [[None] * len(own) for own in wirings]
    receivers, of_each = (np.zeros((n_layers + 1, n_layers), np.int64) for _ in range(2))
    for plane, (readers, shape) in enumerate(zip(spec.readers, spec.plane_shapes, strict=True)):
        fan_outs = [fan_out_of(wirings[layer][number], shape) for layer, number in readers]
        differ = [k for k, fan_out in enumerate(fan_outs) if fan_out.of_each is None]
        sent = differ[0] if differ else 0
        for k, ((layer, number), fan_out) in enumerate(zip(readers, fan_outs, strict=True)):
            if k == sent:
                as_sent[plane] = fan_out
                receivers[plane, layer] = 1
            elif fan_out.of_each is None:
                by_synapse[layer][number] = fan_out
            else:
                of_each[plane, layer] += fan_out.of_each
    return Tally(tuple(as_sent), tuple(map(tuple, by_synapse)), receivers, of_each)


def row_slots(channels: int, width: int, plane: int) -> int:
    """Room for the messages of a row of a ``plane``: whole groups for each pixel of the input, of
    layers whole vectors, as oversized ones are written to; and a vector that is written behind the
    last one.
    """
    places = padded(channels) if plane else -(-channels // GROUP) * GROUP
    return width * places + LANES


def map_channels(channels: int, plane: int) -> int:
    """Channels of a pixel in the maps of a plane: whole vectors are written to those of layers."""
    return padded(channels) if plane else channels + channels % 2


@dataclass(frozen=True)
class Buffers:
    """Room for the messages of each plane until the last layer that reads it has run; an output's
    until it is decoded, behind all layers. ``maps``: the same, by pixel.
    """

    messages: list[Place]
    maps: list[Place]


def message_buffers(builder: Builder, spec: Spec, margins: Sequence[int]) -> Buffers:
    """Those of the planes of ``spec``. ``margins``: of each plane's maps, -1 for none."""
    shapes = spec.plane_shapes
    until = [max((layer + 1 for layer, _ in readers), default=0) for readers in spec.readers]
    for plane in spec.output_planes:
        until[plane] = len(shapes)
    slots = [
        height * row_slots(channels, width, plane)
        for plane, (channels, height, width) in enumerate(shapes)
    ]
    # Where outputs are more than the pairs of channels, what is read behind a row is multiplied by
    # zero.
    maps = [
        height * n_slots(width, margin) * map_channels(channels, plane) + _BEHIND
        for plane, ((channels, height, width), margin) in enumerate(
            zip(shapes, margins, strict=True)
        )
    ]
    return Buffers(builder.share("messages", slots, until), builder.share("maps", maps, until))


def n_slots(width: int, margin: int) -> int:
    """Pixels of a row of maps with a ``margin``; none where it is -1."""
    return 0 if margin < 0 else width + 2 * margin
