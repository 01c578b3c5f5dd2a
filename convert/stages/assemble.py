"""Assembles the spec from rounded layers and their relays.

A relay is a diagonal 1x1 convolution that sends every channel twice: as it is (weight 32/32) and
divided by 32 (weight 1/32). The kernel that reads the two is w1 and w2 with w = w1 + w2 / 32, so
the effective weight has five more bits. Small weights become representable, and less range must be
spent on scaling them up. netx loads it as it is. It costs two neurons per value, their messages,
twice the kernels that read it, and a time step of latency. Layers that read relays of the same
source share one.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.rounding.rounded import Rounded, RoundedLayer, step_limits, summing
from ann2sdnn.calibration.scales.plan import RELAY_DIVISOR, LayerPlan, RangePlan
from ann2sdnn.graph.averages import free_name
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import INPUT, Graph, Synapse, with_synapses
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_STEP
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed

_COPIES = 2


def relay_name(layer_name: str) -> str:
    """Name of the relay before a layer; further ones have a number."""
    return f"{layer_name}_relay"


def spec_from(graph: Graph, plan: RangePlan, rounded: Rounded, source_sha256: str) -> Spec:
    """The spec of ``rounded``, with thresholds of 0."""
    return Spec(
        input_shape=graph.input_shape,
        input_scale=graph.input_scale,
        input_gain=plan.input_gain,
        grid=plan.grid,
        layers=_Assembly(graph, rounded).layers(),
        source_sha256=source_sha256,
        preprocessing=graph.preprocessing,
        input_offset=plan.input_offset,
        output_names=graph.output_names,
    )


class _Assembly:
    """Layers and relays in order, and who reads whom."""

    def __init__(self, graph: Graph, rounded: Rounded) -> None:
        self._graph, self._rounded = graph, rounded
        self._layers: list[SpecLayer] = []
        self._names = {INPUT, *(layer.name for layer in graph.layers)}
        self._relays: dict[int, str] = {}  # by plane

    def layers(self) -> tuple[SpecLayer, ...]:
        """All layers; each relay stands before the first layer that reads it."""
        for index, rounded in enumerate(self._rounded):
            planes = self._graph.reads[index]
            for number in sorted(rounded.plan.relayed):
                if planes[number] not in self._relays:
                    self._add_relay(rounded, number, planes[number])
            synapses = [
                self._synapse(rounded, number, plane) for number, plane in enumerate(planes)
            ]
            self._layers.append(with_synapses(_layer(rounded), synapses))
        return tuple(self._layers)

    def _add_relay(self, rounded: RoundedLayer, number: int, plane: int) -> None:
        name = free_name(relay_name(rounded.layer.name), self._names)
        self._names.add(name)
        shape, scale = self._graph.plane_shapes[plane], rounded.arriving[number]
        relay = _relay(name, shape, scale, relu=self._is_never_negative(plane))
        self._layers.append(replace(relay, source=self._source(plane, None)))
        self._relays[plane] = name

    def _is_never_negative(self, plane: int) -> bool:
        if plane:
            return self._graph.layers[plane - 1].relu
        return not self._graph.preprocessing.may_be_negative

    def _synapse(self, rounded: RoundedLayer, number: int, plane: int) -> Synapse:
        """The synapse in integers, with the source that it has in the spec."""
        synapse = rounded.layer.synapses[number]
        coarse = _coarse(rounded, number)
        if number not in rounded.plan.relayed:
            source = self._source(plane, None)
            return replace(synapse, weight=_weight(coarse, rounded), source=source)
        channels, height, width = synapse.input_shape
        fine = rounded.steps[number] - coarse * RELAY_DIVISOR
        return replace(
            synapse,
            weight=_weight(synapse.geometry.interleaved_inputs([coarse, fine], channels), rounded),
            input_shape=(_COPIES * channels, height, width),
            source=self._source(plane, self._relays[plane]),
        )

    def _source(self, plane: int, relay: str | None) -> str | None:
        """What stands in the spec for a synapse that reads ``plane``, or a relay of it: None for
        the layer before, as long as the graph names no sources.
        """
        name = relay or (self._graph.layers[plane - 1].name if plane else INPUT)
        before = self._layers[-1].name if self._layers else INPUT
        return None if self._graph.is_chain and name == before else name


def _layer(rounded: RoundedLayer) -> SpecLayer:
    """The layer with the weights of its first synapse only."""
    layer = rounded.layer
    return SpecLayer(
        name=layer.name,
        geometry=layer.geometry,
        weight=_weight(_coarse(rounded, 0), rounded),
        bias=None if rounded.bias is None else _narrowed(rounded.bias, np.int32, rounded, "a bias"),
        relu=layer.relu,
        pool=summing(layer.pool),
        threshold=0,
        scale=rounded.plan.sent,
        input_shape=layer.input_shape,
        shift=rounded.plan.shift,
    )


def _coarse(rounded: RoundedLayer, number: int) -> NDArray[np.int64]:
    """The weights in steps that netx can hold, without the fine part that a relay adds."""
    coarse = np.rint(rounded.steps[number] / rounded.plan.weight_divisor(number))
    low, high = step_limits(rounded.layer, LayerPlan(rounded.plan.scale, rounded.plan.sent))
    clipped: NDArray[np.int64] = np.clip(coarse, low, high).astype(np.int64)
    return clipped


def _weight(steps: NDArray[np.int64], rounded: RoundedLayer) -> NDArray[np.int16]:
    weight: NDArray[np.int16] = _narrowed(steps * WEIGHT_STEP, np.int16, rounded, "a weight")
    return weight


def _narrowed(values: NDArray[Any], dtype: Any, rounded: RoundedLayer, what: str) -> NDArray[Any]:
    return narrowed(values, dtype, f"layer {rounded.layer.name}: {what}", error=ConversionError)


def _relay(name: str, shape: Shape, arriving: NDArray[np.float64], *, relu: bool) -> SpecLayer:
    """A relay of values of ``shape`` and scale ``arriving`` [C], with a channel's copies side by
    side. It has a ReLU where that changes nothing, because stock netx has no layer without.
    """
    channels = shape[0]
    unit = UNITS // WEIGHT_STEP  # 1.0 in weight steps
    pair = np.array([unit, unit // RELAY_DIVISOR], np.int16) * WEIGHT_STEP
    factors = np.array([1.0, 1 / RELAY_DIVISOR])
    return SpecLayer(
        name=name,
        geometry=Convolution(groups=channels),
        weight=np.tile(pair, channels).astype(np.int16).reshape(-1, 1, 1, 1),
        bias=None,
        relu=relu,
        pool=None,
        threshold=0,
        scale=(arriving[:, None] * factors).ravel(),
        input_shape=shape,
        is_relay=True,
    )
