"""Lays out an engine's memory for a spec: tables of its wiring, weights in kernel order, states."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.engine.instructions.vector import (
    GROUP,
    LANES,
    Vector,
    in_kernel_order,
    padded,
)
from ann2sdnn.sdnn.engine.loops.memory import (
    HALF_RANGE,
    PHASE_COLUMNS,
    PHASE_SOURCE,
    PHASE_STEP,
    PHASE_TAPS,
    PLANE,
    POPULATION,
    SYNAPSE,
    Builder,
    Memory,
    Place,
)
from ann2sdnn.sdnn.engine.loops.populations import (
    INT32_MAX,
    halved_bias,
    halved_threshold,
    is_wide,
    largest_resting,
    pool_fields,
    rules_of,
)
from ann2sdnn.sdnn.engine.loops.taps import (
    Runs,
    fan_outs,
    find_phases,
    first_needed,
    needed,
    runs_of,
    square_of,
)
from ann2sdnn.sdnn.engine.loops.wiring import Wiring, wire
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ModelError

_MOST_OUTPUTS = 256  # of weights in groups that are spread out with zeros between
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


class _Writer:
    def __init__(
        self, spec: Spec, vector: Vector, remembers: tuple[bool, ...], is_stock: bool
    ) -> None:
        self.spec, self.vector, self.remembers, self.is_stock = spec, vector, remembers, is_stock
        self.builder = Builder()
        self.buffers = _buffers(self.builder, spec)

    def layout(self) -> Layout:
        """Write all tables."""
        layers = self.spec.layers
        shapes = (self.spec.input_shape, *(layer.output_shape for layer in layers))
        planes = np.zeros(len(shapes), PLANE)
        wirings = [wire(layer) for layer in layers]
        for index, shape in enumerate(shapes):
            receiver = wirings[index] if index < len(layers) else None
            planes[index] = self._plane(shape, index, receiver)
        synapses, populations = (np.zeros(len(layers), kind) for kind in (SYNAPSE, POPULATION))
        states, sent, touched, sums = [], [], [], []
        for index, layer in enumerate(layers):
            synapses[index] = self._synapse(layer, wirings[index])
            places = self._places(layer)
            populations[index] = self._population(layer, index, places)
            states.append(places.states)
            sent.append(places.sent)
            touched.append(places)
            sums.append(places.sums)
        memory = self.builder.build(planes, synapses, populations)
        # Behind a row's flags there may be some that are never set.
        views = [[place.view(memory) for place in group] for group in (states, sent)]
        flags = [
            flags[..., : layer.preactivation_shape[2]]
            for layer, places in zip(layers, touched, strict=True)
            for flags in (places.touched.view(memory), places.touched_rows.view(memory)[:, None])
        ]
        exact = [place.view(memory) for place in sums]
        layout = Layout(memory, *(tuple(group) for group in (*views, flags, exact)))
        layout.forget()
        return layout

    def _plane(self, shape: Shape, index: int, receiver: Wiring | None) -> Any:
        channels, height, width = shape
        if max(padded(channels), width) >= _LIMIT:
            raise ModelError(
                f"a map of {channels} channels and {width} columns; the engine runs less than"
                f" {_LIMIT} of each"
            )
        row_slots = _row_slots(channels, width)
        row_classes, column_classes, fan_out = fan_outs(receiver, shape)
        n_lanes = channels if index == 0 else padded(channels)
        by_lane = np.zeros((*fan_out.shape[:2], n_lanes), np.int32)
        by_lane[..., :channels] = fan_out
        b = self.builder
        return _row(
            PLANE,
            height=height,
            width=width,
            channels=channels,
            row_slots=row_slots,
            messages=self.buffers[index % 2].start,
            senders=b.reserve("senders", height, width).start,
            n_senders=b.reserve("n_senders", height).start,
            n_messages=b.reserve("n_senders", height).start,
            oversized=b.reserve("oversized", height, row_slots).start,
            fan_out=b.hold("fan_outs", by_lane),
            row_classes=b.hold("tables", row_classes),
            column_classes=b.hold("tables", column_classes),
            n_column_classes=fan_out.shape[1],
        )

    def _synapse(self, layer: SpecLayer, wiring: Wiring | None) -> Any:
        """Without a wiring, all that arrives is to be written to the sums from outside."""
        if wiring is None:
            nothing = np.zeros(layer.preactivation_shape[1], np.int64)
            return _row(
                SYNAPSE,
                needed=self.builder.hold("tables", nothing),
                first_needed=self.builder.hold("tables", nothing),
                largest=-1,
            )
        b, weights = self.builder, wiring.weights
        n_down, n_across = wiring.rows.shape[1], wiring.columns.shape[1]
        runs = runs_of(wiring.columns)
        channels, outputs = weights.shape[1:]
        by_tap = weights.reshape(n_down, n_across, channels, outputs)[:, runs.order]
        by_channel = by_tap.transpose(2, 0, 1, 3)
        height = layer.preactivation_shape[1]
        # A kernel of all groups multiplies by zeros, which costs less than one product at a time.
        n_outputs = outputs * wiring.groups
        is_grouped = wiring.groups > 1 and n_outputs > _MOST_OUTPUTS
        in_kernel = by_channel if is_grouped else _ungrouped(by_channel, wiring.groups)
        special = {
            **square_of(in_kernel.shape, runs),
            **self._maps(wiring.columns[:, runs.order], runs, layer),
        }
        room = INT32_MAX - HALF_RANGE
        return _row(
            SYNAPSE,
            n_down=n_down,
            n_across=n_across,
            rows=b.hold("tables", wiring.rows),
            runs=b.hold("tables", runs.table),
            n_runs=b.hold("tables", runs.n),
            step=runs.step,
            n_weights=n_down * n_across * padded(in_kernel.shape[-1]),
            needed=b.hold("tables", needed(wiring.rows, height)),
            first_needed=b.hold("tables", first_needed(wiring.rows, height)),
            weights=0 if is_grouped else b.hold("weights", in_kernel_order(in_kernel, self.vector)),
            plain_weights=b.hold("weights", by_channel),
            group_inputs=channels // wiring.groups,
            group_outputs=outputs,
            is_grouped=is_grouped,
            largest=min(MESSAGE_MAX, room // max(1, wiring.largest_sum)),
            **({} if is_grouped else special),
        )

    def _maps(self, columns: NDArray[np.int64], runs: Runs, layer: SpecLayer) -> dict[str, int]:
        """Of ``add_maps``, if it serves ``columns`` [W, KW] in the order of the weights."""
        (n_channels, _, width), out_width = layer.input_shape, layer.preactivation_shape[2]
        phases = find_phases(columns, runs.step, out_width)
        if not len(phases):
            return {}
        before = (phases[:, PHASE_TAPS] - 1) * phases[:, PHASE_STEP] - phases[:, PHASE_SOURCE]
        behind = phases[:, PHASE_SOURCE] + phases[:, PHASE_COLUMNS] - width
        margin = max(0, int(before.max()), int(behind.max()))
        channel = np.arange(n_channels)
        slots = channel // 2 * 2 * (width + 2 * margin) + channel % 2
        return {
            "phases": self.builder.hold("tables", phases),
            "n_phases": len(phases),
            "margin": margin,
            "slots": self.builder.hold("tables", slots),
        }

    def _places(self, layer: SpecLayer) -> "_Places":
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

    def _population(self, layer: SpecLayer, index: int, places: "_Places") -> Any:
        channels, height, width = layer.preactivation_shape
        bias = np.zeros(padded(channels), np.int32)
        bias[:channels] = halved_bias(layer, self.spec.grid)
        receives_changes, remembers = self.remembers[index], self.remembers[index + 1]
        # A memoryless neuron sends whatever its state is, touched or not.
        sends_alone = largest_resting(layer, bias) >= halved_threshold(layer, self.spec.grid)
        rules = rules_of(layer, self.spec.grid, remembers=remembers, is_stock=self.is_stock)
        return _row(
            POPULATION,
            height=height,
            width=width,
            padded=padded(channels),
            states=places.states.start,
            sums=places.sums.start,
            touched=places.touched.start,
            stride=_stride(width),
            touched_rows=places.touched_rows.start,
            bias=self.builder.hold("biases", bias),
            rules=self.builder.hold("rules", rules),
            is_wide=places.sent.array == "sent_wide",
            sent=places.sent.start,
            receives_changes=receives_changes,
            sees_all=not remembers and (receives_changes or sends_alone),
            **pool_fields(layer),
        )


@dataclass(frozen=True)
class _Places:
    states: Place
    sums: Place
    sent: Place
    touched: Place
    touched_rows: Place


def _row(kind: np.dtype[Any], **fields: int) -> Any:
    row = np.zeros((), kind)
    for name, value in fields.items():
        row[name] = value
    return row


def _stride(width: int) -> int:
    """Bytes for ``width`` flags that are read as many together as a vector has lanes."""
    return padded(width)


def _ungrouped(weights: NDArray[np.int16], groups: int) -> NDArray[np.int16]:
    """``weights`` [C, n_down, n_across, O / groups] of all O outputs, zero between groups."""
    channels, n_down, n_across, outputs = weights.shape
    parts = weights.reshape(groups, -1, n_down, n_across, outputs)
    whole = np.zeros((*parts.shape[:4], groups, outputs), np.int16)
    own = np.arange(groups)
    whole[own, ..., own, :] = parts
    return whole.reshape(channels, n_down, n_across, groups * outputs)


def _row_slots(channels: int, width: int) -> int:
    """Room for the messages of a row: whole groups for each pixel, and a vector that is written
    behind the last one.
    """
    return width * -(-channels // GROUP) * GROUP + LANES


def _buffers(builder: Builder, spec: Spec) -> list[Place]:
    """Room for messages. A plane is read by the next layer only, so two buffers take turns."""
    sizes = [0, 0]
    shapes = (spec.input_shape, *(layer.output_shape for layer in spec.layers))
    for index, (channels, height, width) in enumerate(shapes):
        sizes[index % 2] = max(sizes[index % 2], height * _row_slots(channels, width))
    return [builder.reserve("messages", size) for size in sizes]
