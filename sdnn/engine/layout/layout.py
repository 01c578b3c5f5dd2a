"""Lays out an engine's memory for a spec: planes, synapses and populations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.engine.instructions.vector import Vector, padded
from ann2sdnn.sdnn.engine.layout.planes import (
    Tally,
    map_channels,
    message_buffers,
    n_slots,
    row_slots,
    tally_of,
)
from ann2sdnn.sdnn.engine.layout.populations import (
    INT32_MAX,
    halved_bias,
    halved_threshold,
    is_wide,
    largest_resting,
    pool_fields,
    rules_of,
)
from ann2sdnn.sdnn.engine.layout.synapses import synapse_fields
from ann2sdnn.sdnn.engine.layout.wiring import Wiring, wire
from ann2sdnn.sdnn.engine.loops.memory import (
    HALF_RANGE,
    PLANE,
    POPULATION,
    SYNAPSE,
    Builder,
    Memory,
    Place,
)
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ModelError

_NEVER = 32  # in 16: more messages than there are neurons
_LIMIT = 1 << 16  # 16 bits hold a channel, a column, and a pixel's number of messages


@dataclass(frozen=True)
class Layout:
    """The memory, and where in it things lie that are read from outside."""

    memory: Memory
    states: tuple[NDArray[np.int32], ...]
    """[H, W, P] of each layer, before pooling."""
    sent: tuple[NDArray[Any], ...]
    """[H', W', P] of each layer, int32 or int64."""
    touched: tuple[NDArray[np.uint8], ...]
    """[H, W] and [H, 1] of each layer."""
    sums: tuple[NDArray[np.int64], ...]
    """[H, W, P] of each layer: what arrives, where messages are too large for the fast kernel."""
    foreign: tuple[tuple[int, ...], ...]
    """Of each layer the numbers of its synapses without a wiring: they are computed outside of the
    compiled loops, into ``sums``."""
    tally: Tally

    def forget(self) -> None:
        """As before the first frame: all neurons are to be visited."""
        for values in (*self.states, *self.sent):
            values[:] = 0
        for flags in self.touched:
            flags[:] = 1
        self.memory.n_senders[:] = 0

    def resume(self) -> None:
        """As after a frame that reached every neuron; see ``emission`` for the flags."""
        for flags in self.touched:
            flags[:] = 2


def lay_out(spec: Spec, vector: Vector, *, remembers: tuple[bool, ...], is_stock: bool) -> Layout:
    """The memory of an engine for ``spec``. ``remembers``: of the input and each layer.

    Raises ModelError for a layer that 32 bits are too few for.
    """
    return _Writer(spec, vector, remembers, is_stock).layout()


@dataclass(frozen=True)
class _Places:
    states: Place
    sums: Place
    sent: Place
    touched: Place
    touched_rows: Place


class _Writer:
    def __init__(
        self, spec: Spec, vector: Vector, remembers: tuple[bool, ...], is_stock: bool
    ) -> None:
        self.spec, self.vector, self.remembers, self.is_stock = spec, vector, remembers, is_stock
        self.builder = Builder()
        self.wirings = [[wire(synapse) for synapse in layer.synapses] for layer in spec.layers]
        self.tally = tally_of(spec, self.wirings)

    def layout(self) -> Layout:
        """Write all tables."""
        layers = self.spec.layers
        own = [self._synapses(index) for index in range(len(layers))]
        ends = np.cumsum([len(rows) for rows in own])
        synapses = _table(SYNAPSE, [row for rows in own for row in rows])
        planes = _table(PLANE, self._planes(synapses))
        places = [self._places(layer) for layer in layers]
        populations = _table(
            POPULATION,
            [self._population(index, one) for index, one in enumerate(places)],
        )
        populations["first_synapse"][1:] = ends[:-1]
        populations["end_synapse"] = ends
        memory = self.builder.build(planes, synapses, populations)
        # Behind a row's flags there may be some that are never set.
        touched = [
            flags[..., : layer.preactivation_shape[2]]
            for layer, one in zip(layers, places, strict=True)
            for flags in (one.touched.view(memory), one.touched_rows.view(memory)[:, None])
        ]
        layout = Layout(
            memory,
            states=tuple(one.states.view(memory) for one in places),
            sent=tuple(one.sent.view(memory) for one in places),
            touched=tuple(touched),
            sums=tuple(one.sums.view(memory) for one in places),
            foreign=tuple(
                tuple(number for number, one in enumerate(wirings) if one is None)
                for wirings in self.wirings
            ),
            tally=self.tally,
        )
        layout.forget()
        return layout

    def _planes(self, synapses: NDArray[Any]) -> list[dict[str, int]]:
        """Of all planes, which ``synapses`` read."""
        margins, shares = ([-1] * len(self.spec.plane_shapes) for _ in range(2))
        packed_below = self._packed_below(synapses)
        for synapse in synapses[synapses["n_phases"] > 0]:
            plane, share = synapse["plane"], int(synapse["share"])
            margins[plane] = max(margins[plane], int(synapse["margin"]))
            shares[plane] = share if shares[plane] < 0 else min(shares[plane], share)
        buffers, rows = message_buffers(self.builder, self.spec, margins), []
        for index, (messages, maps) in enumerate(zip(buffers.messages, buffers.maps, strict=True)):
            row = self._plane(index, messages)
            channels, _, width = self.spec.plane_shapes[index]
            row["maps"], row["margin"] = maps.start, max(margins[index], 0)
            row["worth_a_map"] = -(-shares[index] * width * channels // 16)
            row["packed_below"] = packed_below[index]
            row["n_slots"] = n_slots(width, margins[index])
            row["map_channels"] = map_channels(channels, index)
            rows.append(row)
        return rows

    def _packed_below(self, synapses: NDArray[Any]) -> list[int]:
        """Of all planes: messages of a row from which on all of ``synapses`` read a map, so that
        the messages need not be packed; more than there can be where something always reads them.
        """
        shares = [0] * len(self.spec.plane_shapes)
        for synapse in synapses:
            reads_all = synapse["n_phases"] > 0 and not synapse["is_counted"]
            share = int(synapse["share"]) if reads_all else _NEVER
            shares[synapse["plane"]] = max(shares[synapse["plane"]], share)
        for plane in self.spec.output_planes:
            shares[plane] = _NEVER
        return [
            -(-share * width * channels // 16)
            for share, (channels, _, width) in zip(shares, self.spec.plane_shapes, strict=True)
        ]

    def _plane(self, index: int, messages: Place) -> dict[str, int]:
        channels, height, width = self.spec.plane_shapes[index]
        if max(padded(channels), width) >= _LIMIT:
            raise ModelError(
                f"a map of {channels} channels and {width} columns; the engine runs less than"
                f" {_LIMIT} of each"
            )
        slots, b = row_slots(channels, width, index), self.builder
        sent = self.tally.as_sent[index]
        return {
            "height": height,
            "width": width,
            "channels": channels,
            "row_slots": slots,
            "messages": messages.start,
            "senders": b.reserve("senders", height, width).start,
            "n_senders": b.reserve("n_senders", height).start,
            "n_messages": b.reserve("n_senders", height).start,
            "mapped": b.reserve("n_senders", height).start,
            "oversized": b.reserve("oversized", height, slots).start,
            "column_fan_out": 0 if index else b.hold("fan_outs", sent.by_column),
            **sent.hold(b, self._n_lanes(index)),
        }

    def _synapses(self, index: int) -> list[dict[str, int]]:
        """Of layer ``index``."""
        layer, rows = self.spec.layers[index], []
        for number, (synapse, plane) in enumerate(
            zip(layer.synapses, self.spec.reads[index], strict=True)
        ):
            counted = self.tally.by_synapse[index][number]
            row = {"plane": plane, "population": index, "is_counted": counted is not None}
            if counted is not None:
                row |= counted.hold(self.builder, self._n_lanes(plane))
            wiring = self.wirings[index][number]
            rows.append(row | synapse_fields(self.builder, synapse, wiring, self.vector))
        return rows

    def _n_lanes(self, plane: int) -> int:
        """Channels of a plane whose operations are counted together, those of the input one by
        one.
        """
        channels = self.spec.plane_shapes[plane][0]
        return channels if plane == 0 else padded(channels)

    def _places(self, layer: SpecLayer) -> _Places:
        b, (channels, height, width) = self.builder, layer.preactivation_shape
        _, out_height, out_width = layer.output_shape
        wide = "sent_wide" if is_wide(layer, self.spec.grid) else "sent"
        return _Places(
            states=b.reserve("states", height, width, padded(channels)),
            sums=b.reserve("sums", height, width, padded(channels)),
            sent=b.reserve(wide, out_height, out_width, padded(channels)),
            touched=b.reserve("touched", height, _stride(width)),
            touched_rows=b.reserve("touched", height),
        )

    def _population(self, index: int, places: _Places) -> dict[str, int]:
        layer, grid = self.spec.layers[index], self.spec.grid
        channels, height, width = layer.preactivation_shape
        bias = np.zeros(padded(channels), np.int32)
        bias[:channels] = halved_bias(layer, grid)
        receives_changes = self.remembers[self.spec.reads[index][0]]
        remembers = self.remembers[index + 1]
        # A memoryless neuron sends whatever its state is, touched or not.
        sends_alone = largest_resting(layer, bias) >= halved_threshold(layer, grid)
        rules = rules_of(layer, grid, remembers=remembers, is_stock=self.is_stock)
        return {
            "largest": _largest_message(self.wirings[index]),
            "height": height,
            "width": width,
            "padded": padded(channels),
            "states": places.states.start,
            "sums": places.sums.start,
            "touched": places.touched.start,
            "stride": _stride(width),
            "touched_rows": places.touched_rows.start,
            "bias": self.builder.hold("biases", bias),
            "rules": self.builder.hold("rules", rules),
            "is_wide": places.sent.array == "sent_wide",
            "sent": places.sent.start,
            "receives_changes": receives_changes,
            "sees_all": not remembers and (receives_changes or sends_alone),
            **pool_fields(layer),
        }


def _table(kind: np.dtype[Any], rows: list[dict[str, int]]) -> NDArray[Any]:
    """Zero where a row does not have a field."""
    table = np.zeros(len(rows), kind)
    for row, fields in zip(table, rows, strict=True):
        for name, value in fields.items():
            row[name] = value
    return table


def _largest_message(wirings: list[Wiring | None]) -> int:
    """The largest with which no sum over all synapses can leave 32 bits; -1, so that all are added
    exactly, where a synapse has no wiring.
    """
    largest_sums = np.zeros(1, np.int64)
    for wiring in wirings:
        if wiring is None:
            return -1
        largest_sums = largest_sums + wiring.largest_sums
    room = INT32_MAX - HALF_RANGE
    return min(MESSAGE_MAX, room // max(1, int(largest_sums.max())))


def _stride(width: int) -> int:
    """Bytes for ``width`` flags that are read as many together as a vector has lanes."""
    return padded(width)
