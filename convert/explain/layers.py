"""Builds the report's record of each layer, relays included."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.statistics import LayerStatistics, Statistics
from ann2sdnn.calibration.rounding.rounded import RoundedLayer, weight_snr_db
from ann2sdnn.calibration.scales.plan import LayerPlan, Limit
from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.convert.explain.budget import budget_part
from ann2sdnn.convert.report.layer import (
    RELAY,
    BudgetPart,
    LayerReport,
    RoundedPart,
    StateBound,
    energy,
    predicted_errors,
    total_error,
)
from ann2sdnn.convert.stages.probes import relayed_planes
from ann2sdnn.convert.stages.quantise import QuantisationResult
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.graph.preprocessing import COUNTS
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

_FULL = 0.98  # of what headroom leaves of a range
_WASTED_BITS = 0.1  # fewer are not reported
_NOT_ROUNDED = RoundedPart(**dict.fromkeys(RoundedPart.model_fields))


@dataclass(frozen=True, eq=False)
class _Planned:
    """A layer as planned. ``activations`` [O]: the largest, in the network's units; ``states`` and
    ``messages`` [O]: the largest magnitudes, in units of the scaled activation; ``index``: of the
    layer of the graph whose values are sent, None for the network's input.
    """

    plan: LayerPlan
    index: int | None
    levels: int
    activations: NDArray[np.float64]
    states: NDArray[np.float64]
    messages: NDArray[np.float64]
    state_max: float
    rounded: RoundedPart


def layer_reports(
    quantised: QuantisationResult,
    spec: Spec,
    search: BudgetSearch | None,
    verification: Verification,
) -> list[LayerReport]:
    """One record per layer of ``spec``. ``search``: None without a budget."""
    index_of = {one.layer.name: i for i, one in enumerate(quantised.rounded)}
    relayed = relayed_planes(spec, quantised.evidence.graph)
    planned = [
        _of_relay(quantised, spec, layer, relayed[position])
        if layer.is_relay
        else _of_graph(quantised, index_of[layer.name])
        for position, layer in enumerate(spec.layers)
    ]
    budgets = [budget_part(search, spec, position) for position in range(len(planned))]
    errors = [predicted_errors(x.rounded, y) for x, y in zip(planned, budgets, strict=True)]
    total, statistics = total_error(errors) ** 2, quantised.evidence.statistics
    return [
        _layer_report(
            spec,
            position,
            layer,
            budgets[position],
            statistics=statistics,
            verification=verification,
            total=total,
        )
        for position, layer in enumerate(planned)
    ]


def _layer_report(
    spec: Spec,
    position: int,
    planned: _Planned,
    budget: BudgetPart,
    *,
    statistics: Statistics,
    verification: Verification,
    total: float,
) -> LayerReport:
    """``total``: energy of the predicted errors of all layers."""
    layer, plan, grid, index = spec.layers[position], planned.plan, spec.grid, planned.index
    threshold = layer.threshold * grid.threshold_step
    synops, probe = verification.synops_per_frame, verification.probes[position]
    own = energy(predicted_errors(planned.rounded, budget))
    return LayerReport.joined(
        planned.rounded,
        budget,
        name=layer.name,
        op=RELAY if layer.is_relay else layer.geometry.name,
        neurons=math.prod(layer.preactivation_shape),
        outputs=math.prod(layer.output_shape),
        channels=layer.output_shape[0],
        weights=sum(synapse.weight.size for synapse in layer.synapses),
        sources=[spec.plane_names[plane] for plane in spec.reads[position]],
        scale=float(plan.scale.mean()),
        scale_min=float(plan.scale.min()),
        scale_max=float(plan.scale.max()),
        limited_by=plan.limited_by,
        shift=plan.shift,
        relayed=bool(plan.relayed),
        weight_levels=planned.levels,
        activation_max=float((planned.activations * plan.sent).max()),
        activation_max_ann=float(planned.activations.max()),
        state_max=planned.state_max,
        state_limit=grid.state_limit,
        state_headroom_bits=_bits_left(grid.state_limit, float(planned.states.max())),
        message_headroom_bits=_bits_left(grid.message_limit, float(planned.messages.max())),
        threshold=threshold,
        threshold_ann=threshold / float(layer.scale.mean()),
        density=None if index is None else statistics.layers[index].values.density,
        events_per_frame_predicted=None
        if index is None
        else _predicted_events(layer, grid, statistics, index),
        events_per_frame_measured=float(verification.events_per_frame[position + 1]),
        synops_per_frame_measured=float(synops[position]),
        share_of_operations=float(synops[position] / synops.sum()) if synops.any() else None,
        activation_snr_db=probe.activation_snr_db,
        overflows=int(verification.overflows[position]),
        oversized=int(verification.oversized[position]),
        distributions=probe.distributions,
        share_of_output_error=own / total if total and own is not None else None,
    )


def _of_graph(quantised: QuantisationResult, index: int) -> _Planned:
    """Layer ``index`` of the graph."""
    rounded, plan = quantised.rounded[index], quantised.plan.layers[index]
    grid, noise = quantised.plan.grid, quantised.plan.noise
    seen, left = quantised.evidence.statistics.layers[index], quantised.rounding_left[index]
    bias = rounded.layer.bias
    offset = np.zeros(len(plan.scale)) if bias is None else bias.astype(np.float64)
    states = seen.state_peak * plan.scale
    steps = _in_finest_steps(rounded)
    widest, snr_db = int(np.argmax(states)), weight_snr_db(rounded)
    part = RoundedPart(
        weight_bits=math.log2(max(1, int(np.abs(steps).max()))) + 1,
        weight_snr_db=None if math.isinf(snr_db) else snr_db,
        state_min=float(((seen.z_min - offset) * plan.scale).min()),
        widest_channel=widest,
        widest_preactivation_ann=float(seen.state_peak[widest]),
        rounding_left=left,
        foreseen_weight_error=math.sqrt(noise.weight[index] * left),
        foreseen_message_error=math.sqrt(noise.message[index]),
        silent_channels=int((seen.message_peak == 0).sum()),
        state_bound=_state_bound(seen, plan, grid, quantised.plan.headroom, offset),
    )
    return _Planned(
        plan=plan,
        index=index,
        levels=len(np.unique(steps)),
        activations=seen.a_max,
        states=states,
        messages=seen.message_peak * plan.sent,
        state_max=float(((seen.z_max - offset) * plan.scale).max()),
        rounded=part,
    )


def _in_finest_steps(rounded: RoundedLayer) -> NDArray[np.int64]:
    """The weights of all synapses, one after another, in multiples of the smallest weight step."""
    divisors = [rounded.plan.weight_divisor(number) for number in range(len(rounded.steps))]
    return np.concatenate(
        [
            steps.ravel() * (max(divisors) // divisor)
            for steps, divisor in zip(rounded.steps, divisors, strict=True)
        ]
    )


def _of_relay(quantised: QuantisationResult, spec: Spec, layer: SpecLayer, plane: int) -> _Planned:
    """A relay of ``plane`` of the graph. Its states are its inputs.

    There are no statistics of the network's input, so a relay of it has no density and no predicted
    messages; the largest pixel is 255.
    """
    statistics = quantised.evidence.statistics
    seen = statistics.layers[plane - 1] if plane else None
    peaks = _input_peaks(spec, statistics) if seen is None else seen.a_max
    activations = np.repeat(peaks, 2)
    largest = activations * layer.scale
    # Peaks have no sign, which matters without a ReLU before the relay.
    signed = largest if seen is None or layer.relu else np.repeat(seen.z_max, 2) * layer.scale
    return _Planned(
        plan=LayerPlan(layer.scale, layer.scale, limited_by=(Limit.EXACT,)),
        index=plane - 1 if plane else None,
        levels=len(np.unique(layer.weight)),
        activations=activations,
        states=largest,
        messages=largest,
        state_max=float(signed.max()),
        rounded=_NOT_ROUNDED,
    )


def _input_peaks(spec: Spec, statistics: Statistics) -> NDArray[np.float64]:
    """[C]: the largest magnitudes of the network's input, in its units."""
    if spec.preprocessing.dtype != "uint8":
        return np.full(spec.input_shape[0], statistics.input_peak)
    mean = np.array(spec.preprocessing.mean or (0.0,) * spec.input_shape[0])
    peaks: NDArray[np.float64] = np.maximum(np.abs(COUNTS * spec.input_scale - mean), np.abs(mean))
    return peaks


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
