"""Pairs of channels that a weight connects, with the rounding noise of the weights between them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.sensitivity import Sensitivity
from ann2sdnn.calibration.scales.plan import RELAY_DIVISOR
from ann2sdnn.graph.layers import Graph, Layer, input_channel_view, output_channel_view
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_STEP
from ann2sdnn.support.errors import ConversionError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LARGEST_LOG = 150.0  # of a scale; a line search may try anything


@dataclass(frozen=True, eq=False)
class Edges:
    """``out_index``, ``in_index``: positions in the x of a ``ScaleProblem``. ``noise``: output
    energy of rounding at scales of 1; ``log_largest``: log of the largest weight over the limit.

    ``exact``: by layer the edges of its exact synapse, which have no noise, and the noise that they
    would have if they were rounded.
    """

    out_index: IntArray
    in_index: IntArray
    noise: FloatArray
    log_largest: FloatArray
    exact: Mapping[int, tuple[slice, FloatArray]]

    def over(self, energy: float) -> "Edges":
        """The edges with all noise in units of ``energy``."""
        exact = {index: (part, noise / energy) for index, (part, noise) in self.exact.items()}
        return replace(self, noise=self.noise / energy, exact=exact)

    def rounded_unless(self, tied: Mapping[int, IntArray]) -> "Edges":
        """The edges with the noise of exact synapses whose channels are not ``tied``.

        ``tied``: by layer positions of the channels in x.
        """
        noise = self.noise.copy()
        for index, (part, if_rounded) in self.exact.items():
            is_tied = np.isin(self.out_index[part], tied[index])
            noise[part] = np.where(is_tied, 0, if_rounded)
        return replace(self, noise=noise)

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
    graph: Graph,
    sensitivity: Sensitivity,
    slices: Sequence[slice],
    *,
    exact: Sequence[int | None],
    relayed: Sequence[Collection[int]],
) -> Edges:
    """The edges of all synapses; the channels of layers lie at ``slices`` of x.

    ``exact`` and ``relayed``: per layer the exact synapse, and those that read a relay.
    """
    parts: list[list[FloatArray]] = []
    n_edges, exact_parts = 0, {}
    for index, (layer, seen) in enumerate(zip(graph.layers, sensitivity.layers, strict=True)):
        _refuse_without_weights(layer)
        outs = np.arange(slices[index].start, slices[index].stop, dtype=np.float64)
        for number, (synapse, plane) in enumerate(
            zip(layer.synapses, graph.reads[index], strict=True)
        ):
            ins = np.arange(synapse.input_shape[0], dtype=np.float64)
            ins = ins + slices[plane - 1].start if plane else 0 * ins
            magnitude = np.abs(synapse.weight.astype(np.float64))
            largest = magnitude.max(axis=tuple(range(2, magnitude.ndim)), keepdims=True)
            divisor = RELAY_DIVISOR if number in relayed[index] else 1
            rounding = (WEIGHT_STEP / UNITS / divisor) ** 2 / 12
            # A little for channels that nothing depends on, so that their scale is defined.
            weight = seen.weights[number]
            noise = rounding * (weight + 1e-6 * weight.mean())
            log_largest = np.log(np.maximum(largest, 1e-30) / (WEIGHT_MAX / UNITS))
            values = (
                output_channel_view(synapse, outs),
                input_channel_view(synapse, ins),
                noise,
                log_largest,
            )
            shape = np.broadcast_shapes(*(one.shape for one in values))
            parts.append([np.broadcast_to(one, shape).ravel() for one in values])
            part = slice(n_edges, n_edges + len(parts[-1][0]))
            if number == exact[index]:
                exact_parts[index] = (part, parts[-1][2])
                parts[-1][2] = np.zeros_like(parts[-1][2])
            n_edges = part.stop
    out_index, in_index, noise, log_largest = map(np.concatenate, zip(*parts, strict=True))
    return Edges(
        out_index.astype(np.int64), in_index.astype(np.int64), noise, log_largest, exact_parts
    )


def _refuse_without_weights(layer: Layer) -> None:
    if not any(synapse.weight.any() for synapse in layer.synapses):
        raise ConversionError(
            f"layer {layer.name}: all weights are zero; there is nothing to convert"
        )
