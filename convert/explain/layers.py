"""The report's line on every layer of the spec, relays included."""

import math
from dataclasses import dataclass

import numpy as np

from ann2sdnn.calibration.measure.statistics import LayerStatistics, Statistics
from ann2sdnn.calibration.rounding.rounded import RoundedLayer, weight_snr_db
from ann2sdnn.convert.explain.state_bound import state_bound
from ann2sdnn.convert.report.layer import MESSAGE_BITS, STATE_BITS, LayerReport
from ann2sdnn.convert.stages.quantise import QuantisationResult
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


@dataclass(frozen=True, eq=False)
class StageResults:
    """The stages' results, from which the report is made."""

    quantised: QuantisationResult
    spec: Spec
    verification: Verification


def layer_reports(conversion: StageResults) -> list[LayerReport]:
    """One for every layer of the spec, in its order."""
    index_of = {one.layer.name: i for i, one in enumerate(conversion.quantised.rounded)}
    layers = conversion.spec.layers
    planned = [
        _layer_report(conversion, position, index_of[layer.name])
        if layer.name in index_of
        else _relay_report(conversion, position, index_of[layers[position + 1].name])
        for position, layer in enumerate(layers)
    ]
    return [_measured(layer, conversion, position) for position, layer in enumerate(planned)]


def predicted_events_per_frame(
    seen: LayerStatistics, n_runs: int, n_frames: int, n_outputs: int, threshold: float
) -> float:
    """Messages a frame if every change of at least ``threshold`` (the network's units) sent one.

    The first frame of each of ``n_runs`` runs sends every activation. Small changes that add up
    over several frames are not foreseen, so this falls short where thresholds are large.
    """
    first = n_runs / n_frames
    rate = first * seen.values.fraction_at_least(threshold)
    rate += (1 - first) * seen.changes.fraction_at_least(threshold)
    return rate * n_outputs


def _layer_report(conversion: StageResults, position: int, index: int) -> LayerReport:
    """Of layer ``index`` of the graph, which stands at ``position`` in the spec."""
    quantised, spec_layer = conversion.quantised, conversion.spec.layers[position]
    rounded, plan, grid = (
        quantised.rounded[index],
        quantised.plan.layers[index],
        quantised.plan.grid,
    )
    statistics = quantised.evidence.statistics
    seen = statistics.layers[index]
    snr_db, noise = weight_snr_db(rounded), quantised.plan.noise
    bias = rounded.layer.bias
    offset = np.zeros(len(plan.scale)) if bias is None else bias.astype(np.float64)
    state_min = float(((seen.z_min - offset) * plan.scale).min())
    state_max = float(((seen.z_max - offset) * plan.scale).max())
    states, messages = seen.state_peak * plan.scale, seen.message_peak * plan.sent
    widest = int(np.argmax(states))
    threshold = spec_layer.threshold * grid.threshold_step
    sent_scale = float(plan.sent.mean())
    left = quantised.rounding_left[index]
    return LayerReport(
        name=spec_layer.name,
        op=spec_layer.geometry.name,
        neurons=math.prod(spec_layer.preactivation_shape),
        weights=spec_layer.weight.size,
        scale=float(plan.scale.mean()),
        limited_by=plan.limited_by,
        weight_levels=len(np.unique(rounded.steps)),
        weight_snr_db=None if math.isinf(snr_db) else snr_db,
        activation_max=float((seen.a_max * plan.sent).max()),
        activation_max_ann=float(seen.a_max.max()),
        state_min=state_min,
        state_max=state_max,
        state_limit=grid.state_limit,
        state_headroom_bits=_bits_left(grid.state_limit, float(states.max())),
        message_headroom_bits=_bits_left(grid.message_limit, float(messages.max())),
        threshold=threshold,
        threshold_ann=threshold / sent_scale,
        density=seen.values.density,
        events_per_frame_predicted=_predicted(conversion, spec_layer, statistics, index),
        events_per_frame_measured=float(conversion.verification.events_per_frame[position + 1]),
        synops_per_frame_measured=float(conversion.verification.synops_per_frame[position]),
        shift=plan.shift,
        relayed=plan.relayed,
        scale_min=float(plan.scale.min()),
        scale_max=float(plan.scale.max()),
        weight_bits=_weight_bits(rounded),
        widest_channel=widest,
        widest_preactivation_ann=float(seen.state_peak[widest]),
        rounding_left=left,
        foreseen_weight_error=math.sqrt(noise.weight[index] * left),
        foreseen_message_error=math.sqrt(noise.message[index]),
        silent_channels=int((seen.message_peak == 0).sum()),
        state_bound=state_bound(seen, plan, grid, quantised.plan.headroom, bias),
    )


def _measured(layer: LayerReport, conversion: StageResults, position: int) -> LayerReport:
    """``layer`` with what the run of the converted network showed, and sizes."""
    verification, spec_layer = conversion.verification, conversion.spec.layers[position]
    probe, synops = verification.probes[position], verification.synops_per_frame
    total = float(synops.sum())
    return layer.model_copy(
        update={
            "activation_snr_db": probe.activation_snr_db,
            "distributions": probe.distributions,
            "share_of_operations": float(synops[position] / total) if total else None,
            "overflows": int(verification.overflows[position]),
            "oversized": int(verification.oversized[position]),
            "state_bits": STATE_BITS - layer.state_headroom_bits,
            "message_bits": MESSAGE_BITS - layer.message_headroom_bits,
            "outputs": math.prod(spec_layer.output_shape),
            "channels": spec_layer.output_shape[0],
        }
    )


def _relay_report(conversion: StageResults, position: int, after: int) -> LayerReport:
    """Of the relay at ``position``, which stands before layer ``after`` of the graph.

    Its states are what arrives. Of the input no statistics are taken, so a relay before the first
    layer has no density and no predicted messages; the largest pixel is 255.
    """
    spec, layer = conversion.spec, conversion.spec.layers[position]
    statistics, grid = conversion.quantised.evidence.statistics, spec.grid
    if after == 0:
        arriving_max = np.full(spec.input_shape[0], 255 * spec.input_scale)
    else:
        arriving_max = statistics.layers[after - 1].a_max
    largest = float((np.repeat(arriving_max, 2) * layer.scale).max())
    threshold = layer.threshold * grid.threshold_step
    measured = float(conversion.verification.events_per_frame[position + 1])
    return LayerReport(
        name=layer.name,
        op="relay",
        neurons=math.prod(layer.preactivation_shape),
        weights=layer.weight.size,
        scale=float(layer.scale.mean()),
        limited_by="exact",
        weight_levels=len(np.unique(layer.weight)),
        weight_snr_db=None,
        activation_max=largest,
        activation_max_ann=float(arriving_max.max()),
        state_min=None,
        state_max=largest if layer.relu else _largest_arriving(statistics.layers[after - 1], layer),
        state_limit=grid.state_limit,
        state_headroom_bits=_bits_left(grid.state_limit, largest),
        message_headroom_bits=_bits_left(grid.message_limit, largest),
        threshold=threshold,
        threshold_ann=threshold / float(layer.scale.mean()),
        density=None if after == 0 else statistics.layers[after - 1].values.density,
        events_per_frame_predicted=None
        if after == 0
        else _predicted(conversion, layer, statistics, after - 1),
        events_per_frame_measured=measured,
        synops_per_frame_measured=float(conversion.verification.synops_per_frame[position]),
        scale_min=float(layer.scale.min()),
        scale_max=float(layer.scale.max()),
    )


def _largest_arriving(seen: LayerStatistics, relay: SpecLayer) -> float:
    """The largest value that reaches a relay from a layer without ReLU: ``a_max`` has no sign."""
    return float((np.repeat(seen.z_max, 2) * relay.scale).max())


def _predicted(
    conversion: StageResults, layer: SpecLayer, statistics: Statistics, index: int
) -> float:
    """Messages of ``layer``, which sends the values of layer ``index`` of the graph.

    A message is floored to whole units, so a unit is the least a change has to reach; the copies
    of a relay, and channels of different scales, are counted with the scale of each.
    """
    grid = conversion.spec.grid
    least = max(layer.threshold * grid.threshold_step, grid.message_step)
    pixels = math.prod(layer.output_shape[1:])
    seen = statistics.layers[index]
    return sum(
        predicted_events_per_frame(
            seen, statistics.n_runs, statistics.n_frames, pixels, least / scale
        )
        for scale in layer.scale
    )


def _weight_bits(rounded: RoundedLayer) -> float:
    """Bits that the largest weight uses, its sign included."""
    return math.log2(max(1, int(np.abs(rounded.steps).max()))) + 1


def _bits_left(limit: float, largest: float) -> float:
    return math.log2(limit / max(largest, 1e-12))
