"""Pairs of channels that a weight connects, with the rounding noise of the weights between them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.sensitivity import Sensitivity
from ann2sdnn.calibration.scales.plan import RELAY_DIVISOR
from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph, input_channel_view, output_channel_view
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_STEP
from ann2sdnn.support.errors import ConversionError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LARGEST_LOG = 150.0  # of a scale; a line search may try anything


@dataclass(frozen=True, eq=False)
class Edges:
    """``out_index``, ``in_index``: positions in the x of a ``ScaleProblem``. ``noise``: output
    energy of rounding at scales of 1; ``log_largest``: log of the largest weight over the limit.
    """

    out_index: IntArray
    in_index: IntArray
    noise: FloatArray
    log_largest: FloatArray

    def terms(self, own: FloatArray, sent: FloatArray) -> "EdgeTerms":
        """Noise and hinge at the logs ``own`` of neurons and ``sent`` of what they send, both
        indexed as the edges are.
        """
        by_own, by_sent = np.zeros((2, len(own))), np.zeros((2, len(sent)))
        noise, hinge = _terms(
            self.out_index,
            self.in_index,
            self.noise,
            self.log_largest,
            np.exp(-2 * np.clip(own, -_LARGEST_LOG, _LARGEST_LOG)),
            np.exp(2 * np.clip(sent, -_LARGEST_LOG, _LARGEST_LOG)),
            own,
            sent,
            by_own,
            by_sent,
        )
        return EdgeTerms(noise, hinge, by_own, by_sent)


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


@numba.njit(cache=True)
def _terms(outs, ins, noise, log_largest, own_gain, sent_gain, own, sent, by_own, by_sent):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Fill ``by_own`` and ``by_sent``; the plan is solved with thousands of these."""
    total, hinge = 0.0, 0.0
    for edge in range(len(outs)):
        o, i = outs[edge], ins[edge]
        energy = noise[edge] * own_gain[o] * sent_gain[i]
        total += energy
        by_own[0, o] += energy
        by_sent[0, i] += energy
        excess = log_largest[edge] + own[o] - sent[i]
        if excess > 0:
            hinge += excess * excess
            by_own[1, o] += excess
            by_sent[1, i] += excess
    return total, hinge


def edges_of(
    graph: Graph, sensitivity: Sensitivity, slices: Sequence[slice], relays: Collection[int]
) -> Edges:
    """The edges of all layers, whose channels lie at ``slices`` of x."""
    parts = []
    for index, (layer, seen) in enumerate(zip(graph.layers, sensitivity.layers, strict=True)):
        magnitude = np.abs(layer.weight.astype(np.float64))
        taps = tuple(range(2, magnitude.ndim))
        largest = np.asarray(magnitude.max(axis=taps, keepdims=True), np.float64)
        if largest.max() == 0:
            raise ConversionError(
                f"layer {layer.name}: all weights are zero; there is nothing to convert"
            )
        n_in, own = layer.input_shape[0], slices[index]
        before = np.zeros(n_in) if index == 0 else np.arange(own.start - n_in, own.start)
        outs = output_channel_view(layer, np.arange(own.start, own.stop, dtype=np.float64))
        ins = input_channel_view(layer, before.astype(np.float64))
        divisor = RELAY_DIVISOR if index in relays else 1
        rounding = (WEIGHT_STEP / UNITS / divisor) ** 2 / 12
        # A little for channels that nothing depends on, so that their scale is defined.
        noise = rounding * (seen.weight + 1e-6 * seen.weight.mean())
        if is_average(layer):
            noise = np.zeros_like(noise)  # its weights are exact
        log_largest = np.log(np.maximum(largest, 1e-30) / (WEIGHT_MAX / UNITS))
        shape = np.broadcast_shapes(outs.shape, ins.shape, noise.shape)
        parts.append([np.broadcast_to(v, shape).ravel() for v in (outs, ins, noise, log_largest)])
    out_index, in_index, noise, log_largest = map(np.concatenate, zip(*parts, strict=True))
    return Edges(out_index.astype(np.int64), in_index.astype(np.int64), noise, log_largest)
