"""The parts of a layer's record: what was planned, and what was measured."""

import math

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.statistics import LayerStatistics, Statistics
from ann2sdnn.calibration.rounding.rounded import weight_snr_db
from ann2sdnn.calibration.scales.plan import LayerPlan, Limit
from ann2sdnn.convert.report.layer import RELAY, MeasuredLayer, PlannedLayer, StateBound
from ann2sdnn.convert.stages.quantise import QuantisationResult
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.sdnn.spec.spec import SHIFT, Grid, Spec, SpecLayer

_FULL = 0.98  # of what headroom leaves of a range
_WASTED_BITS = 0.1  # fewer are not reported


def planned_layers(quantised: QuantisationResult, spec: Spec) -> list[PlannedLayer]:
    """One record per layer of the spec, relays included."""
    index_of = {one.layer.name: i for i, one in enumerate(quantised.rounded)}
    planned = []
    for position, layer in enumerate(spec.layers):
        if layer.is_relay:
            after = index_of[spec.layers[position + 1].name]
            planned.append(_of_relay(quantised, spec, layer, after))
        else:
            planned.append(_of_graph(quantised, layer, index_of[layer.name]))
    return planned


def measured_layer(verification: Verification, position: int) -> MeasuredLayer:
    """The layer of the spec at ``position``."""
    probe, synops = verification.probes[position], verification.synops_per_frame
    total = float(synops.sum())
    return MeasuredLayer(
        events_per_frame_measured=float(verification.events_per_frame[position + 1]),
        synops_per_frame_measured=float(synops[position]),
        share_of_operations=float(synops[position] / total) if total else None,
        activation_snr_db=probe.activation_snr_db,
        overflows=int(verification.overflows[position]),
        oversized=int(verification.oversized[position]),
        distributions=probe.distributions,
    )


def predicted_events_per_frame(
    seen: LayerStatistics, n_runs: int, n_frames: int, n_outputs: int, threshold: float
) -> float:
    """Messages per frame if every change of at least ``threshold`` (the network's units) sent one.

    The first frame of each of ``n_runs`` runs sends every activation. Small changes that add up
    over several frames are not predicted, so this is too low where thresholds are large.
    """
    first = n_runs / n_frames
    rate = first * seen.values.fraction_at_least(threshold)
    rate += (1 - first) * seen.changes.fraction_at_least(threshold)
    return rate * n_outputs


def _of_graph(quantised: QuantisationResult, spec_layer: SpecLayer, index: int) -> PlannedLayer:
    """Layer ``index`` of the graph."""
    rounded, plan = quantised.rounded[index], quantised.plan.layers[index]
    grid, noise = quantised.plan.grid, quantised.plan.noise
    statistics, left = quantised.evidence.statistics, quantised.rounding_left[index]
    seen = statistics.layers[index]
    bias = rounded.layer.bias
    offset = np.zeros(len(plan.scale)) if bias is None else bias.astype(np.float64)
    states, messages = seen.state_peak * plan.scale, seen.message_peak * plan.sent
    widest, snr_db = int(np.argmax(states)), weight_snr_db(rounded)
    return PlannedLayer(
        op=spec_layer.geometry.name,
        weights=spec_layer.weight.size,
        scale=float(plan.scale.mean()),
        scale_min=float(plan.scale.min()),
        scale_max=float(plan.scale.max()),
        limited_by=plan.limited_by,
        shift=plan.shift,
        relayed=plan.relayed,
        weight_levels=len(np.unique(rounded.steps)),
        weight_bits=math.log2(max(1, int(np.abs(rounded.steps).max()))) + 1,
        weight_snr_db=None if math.isinf(snr_db) else snr_db,
        activation_max=float((seen.a_max * plan.sent).max()),
        activation_max_ann=float(seen.a_max.max()),
        state_min=float(((seen.z_min - offset) * plan.scale).min()),
        state_max=float(((seen.z_max - offset) * plan.scale).max()),
        state_limit=grid.state_limit,
        state_headroom_bits=_bits_left(grid.state_limit, float(states.max())),
        message_headroom_bits=_bits_left(grid.message_limit, float(messages.max())),
        density=seen.values.density,
        events_per_frame_predicted=_predicted_events(spec_layer, grid, statistics, index),
        widest_channel=widest,
        widest_preactivation_ann=float(seen.state_peak[widest]),
        rounding_left=left,
        foreseen_weight_error=math.sqrt(noise.weight[index] * left),
        foreseen_message_error=math.sqrt(noise.message[index]),
        silent_channels=int((seen.message_peak == 0).sum()),
        state_bound=_state_bound(seen, plan, grid, quantised.plan.headroom, offset),
    )


def _of_relay(
    quantised: QuantisationResult, spec: Spec, layer: SpecLayer, after: int
) -> PlannedLayer:
    """A relay before layer ``after`` of the graph. Its states are its inputs.

    There are no statistics of the network's input, so a relay before the first layer has no density
    and no predicted messages; the largest pixel is 255.
    """
    statistics, grid = quantised.evidence.statistics, spec.grid
    seen = statistics.layers[after - 1] if after else None
    peaks = np.full(spec.input_shape[0], 255 * spec.input_scale) if seen is None else seen.a_max
    largest = float((np.repeat(peaks, 2) * layer.scale).max())
    highest = largest
    if seen is not None and not layer.relu:  # peaks have no sign
        highest = float((np.repeat(seen.z_max, 2) * layer.scale).max())
    return PlannedLayer(
        op=RELAY,
        weights=layer.weight.size,
        scale=float(layer.scale.mean()),
        scale_min=float(layer.scale.min()),
        scale_max=float(layer.scale.max()),
        limited_by=(Limit.EXACT,),
        shift=SHIFT,
        relayed=False,
        weight_levels=len(np.unique(layer.weight)),
        weight_bits=None,
        weight_snr_db=None,
        activation_max=largest,
        activation_max_ann=float(peaks.max()),
        state_min=None,
        state_max=highest,
        state_limit=grid.state_limit,
        state_headroom_bits=_bits_left(grid.state_limit, largest),
        message_headroom_bits=_bits_left(grid.message_limit, largest),
        density=None if seen is None else seen.values.density,
        events_per_frame_predicted=None
        if seen is None
        else _predicted_events(layer, grid, statistics, after - 1),
        widest_channel=None,
        widest_preactivation_ann=None,
        rounding_left=None,
        foreseen_weight_error=None,
        foreseen_message_error=None,
        silent_channels=None,
        state_bound=None,
    )


def _predicted_events(layer: SpecLayer, grid: Grid, statistics: Statistics, index: int) -> float:
    """Messages of ``layer``, which sends the values of layer ``index`` of the graph.

    A message is floored to whole units, so a change below one unit sends nothing. The copies of a
    relay, and channels of different scales, are counted with the scale of each.
    """
    least = max(layer.threshold * grid.threshold_step, grid.message_step)
    pixels = math.prod(layer.output_shape[1:])
    seen = statistics.layers[index]
    return sum(
        predicted_events_per_frame(
            seen, statistics.n_runs, statistics.n_frames, pixels, least / scale
        )
        for scale in layer.scale
    )


def _state_bound(
    seen: LayerStatistics,
    plan: LayerPlan,
    grid: Grid,
    headroom: float,
    bias: NDArray[np.float64],
) -> StateBound | None:
    """The channels whose state is full while their messages are not; None where there are none.

    ``bias`` [O] in the network's units: the state is the pre-activation without it. Usually the
    16-bit message limits a channel's scale. Where pre-activations, mostly negative ones, are far
    larger than activations, the 24-bit state does, and messages leave bits unused.
    """
    state = seen.state_peak * plan.scale / grid.state_limit
    message = seen.message_peak * plan.sent / grid.message_limit
    heard = (message > 0) & (state * headroom > _FULL)
    wasted = np.where(heard, np.log2(np.where(heard, state / np.maximum(message, 1e-30), 1)), 0)
    bound = wasted > _WASTED_BITS
    if not bound.any():
        return None
    worst = int(np.argmax(wasted))
    ends = [float(seen.z_min[worst]), float(seen.z_max[worst])]
    ends += [end - float(bias[worst]) for end in ends]
    return StateBound(
        channels=int(bound.sum()),
        channel=worst,
        preactivation_ann=max(reversed(ends), key=abs),
        activation_ann=float(seen.a_max[worst]),
        wasted_bits=float(wasted[worst]),
    )


def _bits_left(limit: float, largest: float) -> float:
    return math.log2(limit / max(largest, 1e-12))
