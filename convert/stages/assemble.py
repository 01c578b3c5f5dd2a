"""Assembles the spec from rounded layers and their relays.

A relay is a diagonal 1x1 convolution that sends every channel twice: as it is (weight 32/32) and
divided by 32 (weight 1/32). The next layer's kernel for the two is w1 and w2 with w = w1 + w2 / 32,
so the effective weight has five more bits. Small weights become representable, and less range must
be spent on scaling them up. netx loads it as it is. It costs two neurons per value, their messages,
twice the next layer's kernel, and a time step of latency.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.rounding.rounded import Rounded, RoundedLayer, step_limits, summing
from ann2sdnn.calibration.scales.plan import RELAY_DIVISOR, LayerPlan, RangePlan
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_STEP
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed

_COPIES = 2


def relay_name(layer_name: str) -> str:
    """Name of the relay before a layer."""
    return f"{layer_name}_relay"


def spec_from(graph: Graph, plan: RangePlan, rounded: Rounded, source_sha256: str) -> Spec:
    """The spec of ``rounded``, with thresholds of 0."""
    layers: list[SpecLayer] = []
    never_negative = not graph.preprocessing.may_be_negative
    for rounded_layer in rounded:
        layer = _layer(rounded_layer)
        if rounded_layer.plan.relayed:
            layers.append(_relay(rounded_layer, relu=never_negative))
            layer = _reading_copies(rounded_layer, layer)
        layers.append(layer)
        never_negative = rounded_layer.layer.relu
    return Spec(
        input_shape=graph.input_shape,
        input_scale=graph.input_scale,
        input_gain=plan.input_gain,
        grid=plan.grid,
        layers=tuple(layers),
        source_sha256=source_sha256,
        preprocessing=graph.preprocessing,
        input_offset=plan.input_offset,
    )


def _layer(rounded: RoundedLayer) -> SpecLayer:
    """The layer with the weights that netx can hold, without the fine part that a relay adds."""
    coarse = np.rint(rounded.steps / rounded.plan.weight_divisor)
    low, high = step_limits(rounded.layer, LayerPlan(rounded.plan.scale, rounded.plan.sent))
    return SpecLayer(
        name=rounded.layer.name,
        geometry=rounded.layer.geometry,
        weight=_narrowed(np.clip(coarse, low, high) * WEIGHT_STEP, np.int16, rounded, "a weight"),
        bias=None if rounded.bias is None else _narrowed(rounded.bias, np.int32, rounded, "a bias"),
        relu=rounded.layer.relu,
        pool=summing(rounded.layer.pool),
        threshold=0,
        scale=rounded.plan.sent,
        input_shape=rounded.layer.input_shape,
        shift=rounded.plan.shift,
    )


def _narrowed(values: NDArray[Any], dtype: Any, rounded: RoundedLayer, what: str) -> NDArray[Any]:
    return narrowed(values, dtype, f"layer {rounded.layer.name}: {what}", error=ConversionError)


def _relay(rounded: RoundedLayer, *, relu: bool) -> SpecLayer:
    """The relay before ``rounded``, with a channel's copies side by side. It has a ReLU where that
    changes nothing, because stock netx has no layer without.
    """
    channels, height, width = rounded.layer.input_shape
    unit = UNITS // WEIGHT_STEP  # 1.0 in weight steps
    pair = np.array([unit, unit // RELAY_DIVISOR], np.int16) * WEIGHT_STEP
    factors = np.array([1.0, 1 / RELAY_DIVISOR])
    return SpecLayer(
        name=relay_name(rounded.layer.name),
        geometry=Convolution(groups=channels),
        weight=np.tile(pair, channels).astype(np.int16).reshape(-1, 1, 1, 1),
        bias=None,
        relu=relu,
        pool=None,
        threshold=0,
        scale=(rounded.arriving[:, None] * factors).ravel(),
        input_shape=(channels, height, width),
        is_relay=True,
    )


def _reading_copies(rounded: RoundedLayer, layer: SpecLayer) -> SpecLayer:
    """``layer`` with its kernel for both copies of every channel."""
    coarse = (layer.weight // WEIGHT_STEP).astype(np.int64)
    fine = rounded.steps - coarse * RELAY_DIVISOR
    channels, height, width = rounded.layer.input_shape
    weight = layer.geometry.interleaved_inputs([coarse, fine], channels)
    return replace(
        layer,
        weight=_narrowed(weight * WEIGHT_STEP, np.int16, rounded, "a weight"),
        input_shape=(_COPIES * channels, height, width),
    )
