"""Recognises synapses with one weight per output channel, which scales can make exact on the grid.

Identities, selections of channels, factors per channel, averages and nearest upsampling have such
weights. On the grid the weight of an output channel is W exp(u - t), u and t the logs of the scales
of the channel and of the one that it reads; where that is a whole number of weight steps, nothing
is rounded.
"""

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
    """

    outs: IntArray
    ins: IntArray
    sizes: FloatArray


def one_weight_per_channel(synapse: Synapse) -> ChannelWeights | None:
    """The weights of a synapse whose output channels read one channel each, all with weights of one
    magnitude; None for any other.
    """
    parts = synapse.geometry.split(np.abs(synapse.weight), synapse.input_shape[0])
    groups, outs, ins, taps = parts.shape
    if ins > 1 and np.count_nonzero(parts) > groups * outs * taps:
        return None
    largest = parts.max(axis=3)  # [groups, O / groups, I / groups]
    is_read = largest > 0
    same = (parts == largest[..., None]) | (parts == 0)
    if (is_read.sum(axis=2) > 1).any() or not same.all():
        return None
    group, out, read = np.nonzero(is_read)
    sizes = largest[group, out, read].astype(np.float64)
    return ChannelWeights(group * outs + out, group * ins + read, sizes)


def exact_synapses(graph: Graph, sensitivity: Sensitivity) -> tuple[int | None, ...]:
    """Per layer the number of the synapse whose weights scales make exact; None without one.

    One population has one scale per channel, so of several such synapses only one can be exact: the
    one whose weights matter most, by the output energy of the same relative error in all of them.
    """
    return tuple(
        _exact_synapse(layer, seen)
        for layer, seen in zip(graph.layers, sensitivity.layers, strict=True)
    )


def _exact_synapse(layer: Layer, seen: LayerSensitivity) -> int | None:
    candidates = [
        number
        for number, synapse in enumerate(layer.synapses)
        if one_weight_per_channel(synapse) is not None
    ]
    return max(candidates, key=lambda number: _relevance(layer, seen, number), default=None)


def _relevance(layer: Layer, seen: LayerSensitivity, number: int) -> float:
    weight = layer.synapses[number].weight.astype(np.float64)
    size = np.abs(weight).max(axis=tuple(range(2, weight.ndim)), keepdims=True)
    return float((seen.weights[number] * np.square(size)).sum())
