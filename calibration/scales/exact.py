"""Recognises synapses with one weight per output channel, which scales can make exact on the grid.

Identities, selections of channels, factors per channel, averages and nearest upsampling have such
weights. On the grid the weight of an output channel is W exp(u - t), u and t the logs of the scales
of the channel and of the one that it reads; where that is a whole number of weight steps, nothing
is rounded.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.sensitivity import LayerSensitivity, Sensitivity
from ann2sdnn.graph.layers import Graph, Layer, Synapse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ChannelWeights:
    """Output channels ``outs`` [n], the only channel ``ins`` [n] that each reads, and the magnitude
    ``sizes`` [n] of its weights. Channels without weights are left out.

    ``at``: of each the group, and the two channels within the group.
    """

    outs: IntArray
    ins: IntArray
    sizes: FloatArray
    at: tuple[IntArray, ...]


@dataclass(frozen=True, eq=False)
class ExactSynapse:
    """The synapse ``number`` of a layer. ``sensitivity`` [n]: output energy for an error of
    variance 1 in the weights of each of the channels.
    """

    number: int
    weights: ChannelWeights
    sensitivity: FloatArray

    @property
    def relevance(self) -> float:
        """Output energy of the same relative error in all weights."""
        return float((self.sensitivity * np.square(self.weights.sizes)).sum())


def one_weight_per_channel(synapse: Synapse) -> ChannelWeights | None:
    """The weights of a synapse whose output channels read one channel each, all with weights of one
    magnitude; None for any other.
    """
    parts = synapse.geometry.split(synapse.weight, synapse.input_shape[0])
    groups, outs, ins, taps = parts.shape
    if ins > 1 and np.count_nonzero(parts) > groups * outs * taps:
        return None
    parts = np.abs(parts)
    largest = parts.max(axis=3)  # [groups, O / groups, I / groups]
    is_read = largest > 0
    same = (parts == largest[..., None]) | (parts == 0)
    if (is_read.sum(axis=2) > 1).any() or not same.all():
        return None
    at = tuple(places.astype(np.int64) for places in np.nonzero(is_read))
    group, out, read = at
    sizes = largest[at].astype(np.float64)
    return ChannelWeights(group * outs + out, group * ins + read, sizes, at)


def exact_synapses(graph: Graph, sensitivity: Sensitivity) -> tuple[ExactSynapse | None, ...]:
    """Per layer the synapse whose weights scales make exact; None without one.

    A layer has one scale per channel, so of several such synapses only one can be exact: the most
    relevant one.
    """
    return tuple(
        max(_candidates(layer, seen), key=lambda one: one.relevance, default=None)
        for layer, seen in zip(graph.layers, sensitivity.layers, strict=True)
    )


def _candidates(layer: Layer, seen: LayerSensitivity) -> list[ExactSynapse]:
    found = []
    for number, synapse in enumerate(layer.synapses):
        weights = one_weight_per_channel(synapse)
        if weights is not None:
            parts = synapse.geometry.split(seen.weights[number], synapse.input_shape[0])
            found.append(ExactSynapse(number, weights, parts.sum(axis=3)[weights.at]))
    return found


def synapses_of_relays(
    graph: Graph, relays: Collection[int], exact: Sequence[ExactSynapse | None]
) -> tuple[frozenset[int], ...]:
    """Per layer the synapses that read a relay: all of those ``relays`` but exact ones, which gain
    nothing, unless the layer has no other.
    """
    relayed: list[frozenset[int]] = []
    for index, (layer, own) in enumerate(zip(graph.layers, exact, strict=True)):
        numbers = frozenset(range(len(layer.synapses)) if index in relays else ())
        if own is not None and len(layer.synapses) > 1:
            numbers -= {own.number}
        relayed.append(numbers)
    return tuple(relayed)
