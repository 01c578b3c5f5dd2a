"""Pairs of channels that a weight connects, with the rounding noise of the weights between them.

Edges are stored in the order of the weights, where one channel of the output meets consecutive
channels of the input, or the other way round. Such a run needs two positions and a length instead
of two indices per edge, and its loop is contiguous.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.sensitivity import Sensitivity
from ann2sdnn.calibration.scales.exact import ExactSynapse
from ann2sdnn.graph.layers import (
    Graph,
    Layer,
    Synapse,
    input_channel_view,
    output_channel_view,
)
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_STEP
from ann2sdnn.support.errors import ConversionError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LARGEST_LOG = 150.0  # of a scale; a line search may try anything
_ROUNDING = (WEIGHT_STEP / UNITS) ** 2 / 12  # variance of rounding to a step


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges in runs; positions are those in the x of a ``ScaleProblem``.

    ``runs`` [n, 5]: the first output and input, what is added to each from edge to edge, and where
    the run ends. ``noise``: output energy of rounding at scales of 1; ``log_largest``: log of the
    largest weight over the limit.
    """

    runs: IntArray
    noise: FloatArray
    log_largest: FloatArray

    def terms(self, own: FloatArray, sent: FloatArray, share: FloatArray) -> "EdgeTerms":
        """Noise and hinge at the logs ``own`` of neurons and ``sent`` of what they send.

        ``share``: of the noise that is left at each output. All three [positions].
        """
        by_own, by_sent = np.zeros((2, len(own))), np.zeros((2, len(sent)))
        noise, hinge = _terms(
            self.runs,
            self.noise,
            self.log_largest,
            share * np.exp(-2 * np.clip(own, -_LARGEST_LOG, _LARGEST_LOG)),
            np.exp(2 * np.clip(sent, -_LARGEST_LOG, _LARGEST_LOG)),
            own,
            sent,
            by_own,
            by_sent,
        )
        return EdgeTerms(noise, hinge, by_own, by_sent)

    def excess(self, own: FloatArray, sent: FloatArray) -> FloatArray:
        """[positions]: log of each output's largest weight over the limit; -inf without a weight.

        ``own`` and ``sent``: as for ``terms``.
        """
        largest = np.full(len(own), -np.inf)
        _fill_excess(self.runs, self.log_largest, own, sent, largest)
        return largest


@dataclass(frozen=True, eq=False)
class EdgeTerms:
    """Sums over all edges. ``noise``: energy of rounding; ``hinge``: squares of what weights exceed
    their limit by, in logs. ``by_own``, ``by_sent`` [2, n]: sums of the noise, and of the excess,
    over the edges of each position.
    """

    noise: float
    hinge: float
    by_own: FloatArray
    by_sent: FloatArray

    def __add__(self, other: "EdgeTerms") -> "EdgeTerms":
        return EdgeTerms(
            self.noise + other.noise,
            self.hinge + other.hinge,
            self.by_own + other.by_own,
            self.by_sent + other.by_sent,
        )


@numba.njit(cache=True)
def _terms(runs, noise, log_largest, own_gain, sent_gain, own, sent, by_own, by_sent):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Fill ``by_own`` and ``by_sent``; the plan is solved with thousands of these.

    A run's products are vectors; they are added up one by one, so that sums have one order.
    """
    longest, begin = 0, 0
    for run in range(len(runs)):
        longest = max(longest, runs[run, 4] - begin)
        begin = runs[run, 4]
    energies, excesses = np.empty(longest), np.empty(longest)
    total, hinge, begin = 0.0, 0.0, 0
    for run in range(len(runs)):
        o, i, o_step, i_step, end = runs[run]
        n = end - begin
        energy, excess, n_over = energies[:n], excesses[:n], 0
        weights, largest = noise[begin:end], log_largest[begin:end]
        if o_step == 0 and i_step == 1:
            gain, height, sums = own_gain[o], own[o], by_sent[0, i : i + n]
            gains, heights = sent_gain[i : i + n], sent[i : i + n]
            for k in range(n):
                energy[k] = weights[k] * gain * gains[k]
                sums[k] += energy[k]
                excess[k] = largest[k] + height - heights[k]
                n_over += excess[k] > 0
            by_own[0, o], total = _added(energy, by_own[0, o], total)
        elif o_step == 1 and i_step == 0:
            gain, height, sums = sent_gain[i], sent[i], by_own[0, o : o + n]
            gains, heights = own_gain[o : o + n], own[o : o + n]
            for k in range(n):
                energy[k] = weights[k] * gains[k] * gain
                sums[k] += energy[k]
                excess[k] = largest[k] + heights[k] - height
                n_over += excess[k] > 0
            by_sent[0, i], total = _added(energy, by_sent[0, i], total)
        else:
            for k in range(n):
                at_o, at_i = o + k * o_step, i + k * i_step
                energy[k] = weights[k] * own_gain[at_o] * sent_gain[at_i]
                by_own[0, at_o] += energy[k]
                by_sent[0, at_i] += energy[k]
                total += energy[k]
                excess[k] = largest[k] + own[at_o] - sent[at_i]
                n_over += excess[k] > 0
        if n_over:
            for k in range(n):
                if excess[k] > 0:
                    hinge += excess[k] * excess[k]
                    by_own[1, o + k * o_step] += excess[k]
                    by_sent[1, i + k * i_step] += excess[k]
        begin = end
    return total, hinge


@numba.njit(cache=True)
def _added(values, first, second):  # type: ignore[no-untyped-def]
    """``values`` added to each of two sums."""
    for value in values:
        first += value
        second += value
    return first, second


@numba.njit(cache=True)
def _fill_excess(runs, log_largest, own, sent, excess):  # type: ignore[no-untyped-def]
    begin = 0
    for run in range(len(runs)):
        o, i, o_step, i_step, end = runs[run]
        for k in range(end - begin):
            at_o, at_i = o + k * o_step, i + k * i_step
            over = log_largest[begin + k] + (own[at_o] - sent[at_i])
            excess[at_o] = max(excess[at_o], over)
        begin = end


def edges_of(
    graph: Graph,
    sensitivity: Sensitivity,
    slices: Sequence[slice],
    exact: Sequence[ExactSynapse | None],
) -> Edges:
    """The edges of all synapses; the channels of layers lie at ``slices`` of x.

    ``exact``: per layer the synapse that scales make exact, which has no noise.
    """
    runs, noise, log_largest, n_edges = [], [], [], 0
    for index, (layer, seen) in enumerate(zip(graph.layers, sensitivity.layers, strict=True)):
        _refuse_without_weights(layer)
        for number, (synapse, plane) in enumerate(
            zip(layer.synapses, graph.reads[index], strict=True)
        ):
            own = exact[index]
            is_exact = own is not None and own.number == number
            by_edge = (
                np.zeros_like(seen.weights[number]) if is_exact else _noise(seen.weights[number]),
                _log_largest(synapse),
            )
            places = _places(synapse, slices[index], slices[plane - 1] if plane else None)
            shape = np.broadcast_shapes(*(values.shape for values in (*places, *by_edge)))
            o, i, own_noise, largest = (
                np.broadcast_to(values, shape).ravel() for values in (*places, *by_edge)
            )
            runs.append(_runs(o.astype(np.int64), i.astype(np.int64), n_edges))
            noise.append(own_noise)
            log_largest.append(largest)
            n_edges += len(o)
    return Edges(np.concatenate(runs), np.concatenate(noise), np.concatenate(log_largest))


def noise_edges(outs: IntArray, ins: IntArray, sensitivity: FloatArray) -> Edges:
    """Edges of weights that are rounded, without any limit; all [n], places in x."""
    return Edges(_runs(outs, ins, 0), _ROUNDING * sensitivity, np.full(len(outs), -np.inf))


def _refuse_without_weights(layer: Layer) -> None:
    if not any(synapse.weight.any() for synapse in layer.synapses):
        raise ConversionError(
            f"layer {layer.name}: all weights are zero; there is nothing to convert"
        )


def _places(
    synapse: Synapse, outs: slice, ins: slice | None
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Where the channels of the output and of the input lie in x, as views beside the weight;
    ``ins`` None stands for the network's input, which is at 0.
    """
    before = np.zeros(synapse.input_shape[0]) if ins is None else np.arange(ins.start, ins.stop)
    own = np.arange(outs.start, outs.stop, dtype=np.float64)
    return (
        output_channel_view(synapse, own),
        input_channel_view(synapse, before.astype(np.float64)),
    )


def _noise(sensitivity: FloatArray) -> FloatArray:
    # A little for channels that nothing depends on, so that their scale is defined.
    return np.asarray(_ROUNDING * (sensitivity + 1e-6 * sensitivity.mean()), np.float64)


def _log_largest(synapse: Synapse) -> FloatArray:
    magnitude = np.abs(synapse.weight.astype(np.float64))
    taps = tuple(range(2, magnitude.ndim))
    largest = np.asarray(magnitude.max(axis=taps, keepdims=True), np.float64)
    return np.asarray(np.log(np.maximum(largest, 1e-30) / (WEIGHT_MAX / UNITS)), np.float64)


def _runs(outs: IntArray, ins: IntArray, n_before: int) -> IntArray:
    """The runs of a synapse's edges between ``outs`` and ``ins``, after ``n_before`` others.

    A run ends where another step than the synapse's first would follow.
    """
    steps = np.stack([np.diff(outs), np.diff(ins)], axis=1)
    usual = steps[0] if len(steps) else np.zeros(2, np.int64)
    ends = np.append(np.flatnonzero((steps != usual).any(axis=1)) + 1, len(outs))
    first = np.append(0, ends[:-1])
    usual = np.broadcast_to(usual, (len(ends), 2))
    return np.column_stack([outs[first], ins[first], usual, ends + n_before])
