"""What a conversion did, layer by layer: the numbers of the conversion report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.rounding import scaled_weight, weight_snr_db
from ann2sdnn.calibration.scales import ScalePlan, pool_gain
from ann2sdnn.calibration.statistics import Statistics
from ann2sdnn.convert.graph import Graph
from ann2sdnn.convert.report import ConversionReport, Fidelity, LayerReport
from ann2sdnn.convert.verification import Verification
from ann2sdnn.sdnn.spec import UNITS, Spec

_POOR_SNR_DB = 20.0


@dataclass(frozen=True, eq=False)
class Conversion:
    """The stages' results, from which the report is made."""

    graph: Graph
    statistics: Statistics
    plan: ScalePlan
    spec: Spec
    verification: Verification

    def arriving_scale(self, index: int) -> NDArray[np.float64]:
        """[C]: scale of what layer ``index`` receives."""
        if index > 0:
            return self.spec.layers[index - 1].scale
        return np.full(self.spec.input_shape[0], self.spec.input_neuron_scale)


def build_report(
    conversion: Conversion,
    *,
    headroom: float,
    thresholds: str,
    recordings: list[str],
    seconds: dict[str, float],
) -> ConversionReport:
    """The report of a conversion calibrated on ``recordings``; ``seconds`` a stage."""
    spec, statistics = conversion.spec, conversion.statistics
    layers = [_layer_report(conversion, index) for index in range(len(spec.layers))]
    difference = conversion.verification.difference
    return ConversionReport(
        source_sha256=spec.source_sha256,
        input_scale=spec.input_scale,
        input_gain=spec.input_gain,
        output_scale=float(spec.output_scale.mean()),
        spike_exp=spec.grid.spike_exp,
        headroom=headroom,
        thresholds=thresholds,
        calibration_frames=statistics.n_frames,
        calibration_runs=statistics.n_runs,
        calibration_recordings=recordings,
        seconds=seconds,
        layers=layers,
        fidelity=Fidelity(
            displacement_px_mean=difference.displacement_px_mean,
            displacement_px_median=difference.displacement_px_median,
            moved_over_5px=difference.moved_over_5px,
            heatmap_relative_error=difference.heatmap_relative_error,
        ),
        warnings=[*_poor_weights(layers), *_out_of_range(conversion)],
    )


def _layer_report(conversion: Conversion, index: int) -> LayerReport:
    layer, spec_layer = conversion.graph.layers[index], conversion.spec.layers[index]
    seen, grid = conversion.statistics.layers[index], conversion.spec.grid
    sent_scale = float(spec_layer.scale.mean())
    own_scales = spec_layer.scale / pool_gain(layer)
    weight = scaled_weight(layer, conversion.arriving_scale(index), own_scales)
    snr_db = weight_snr_db(weight, spec_layer.weight)
    threshold = spec_layer.threshold / UNITS
    a_max = float((seen.a_max * spec_layer.scale).max())
    z_min = float((seen.z_min * own_scales).min())
    z_max = float((seen.z_max * own_scales).max())
    return LayerReport(
        name=layer.name,
        op=spec_layer.op,
        neurons=math.prod(layer.preactivation_shape),
        weights=layer.weight.size,
        scale=float(own_scales.mean()),
        limited_by=conversion.plan.limited_by[index],
        weight_levels=len(np.unique(spec_layer.weight)),
        weight_snr_db=None if math.isinf(snr_db) else snr_db,
        activation_max=a_max,
        activation_max_ann=float(seen.a_max.max()),
        state_min=z_min,
        state_max=z_max,
        state_limit=grid.state_limit,
        state_headroom_bits=math.log2(grid.state_limit / max(z_max, -z_min)),
        message_headroom_bits=math.log2(grid.message_limit / a_max),
        threshold=threshold,
        threshold_ann=threshold / sent_scale,
        density=seen.values.density,
        events_per_frame_predicted=predicted_events_per_frame(
            conversion.statistics,
            index,
            math.prod(layer.output_shape),
            max(threshold, grid.message_step) / sent_scale,
        ),
        events_per_frame_measured=float(conversion.verification.events_per_frame[index + 1]),
        synops_per_frame_measured=float(conversion.verification.synops_per_frame[index]),
    )


def predicted_events_per_frame(
    statistics: Statistics, index: int, n_outputs: int, threshold: float
) -> float:
    """Messages a frame if every change of at least ``threshold`` (the network's units) sent one.

    The first frame of a run sends every activation. Small changes that add up over several frames
    are not foreseen, so this falls short where thresholds are large.
    """
    seen = statistics.layers[index]
    first = statistics.n_runs / statistics.n_frames
    rate = first * seen.values.fraction_at_least(threshold)
    rate += (1 - first) * seen.changes.fraction_at_least(threshold)
    return rate * n_outputs


def _poor_weights(layers: Sequence[LayerReport]) -> list[str]:
    return [
        f"{layer.name}: its weights keep {layer.weight_snr_db:.0f} dB in {layer.weight_levels}"
        f" levels; its scale is limited by {layer.limited_by}"
        for layer in layers
        if layer.weight_snr_db is not None and layer.weight_snr_db < _POOR_SNR_DB
    ]


def _out_of_range(conversion: Conversion) -> list[str]:
    advice = "on the calibration frames; convert again with a larger --headroom"
    found = []
    for index, layer in enumerate(conversion.spec.layers):
        overflows = conversion.verification.overflows[index]
        oversized = conversion.verification.oversized[index]
        if overflows:
            found.append(f"{layer.name}: {overflows} states left their 24 bits {advice}")
        if oversized:
            found.append(f"{layer.name}: {oversized} messages do not fit 16 bits {advice}")
    return found
