"""Estimates how many cores of Loihi 2 the layers of a network need.

Each layer has cores of its own. A core holds ``o`` of the O channels at some pixels, each pixel in
all of these channels: o times the bytes of a channel's weights once, and for each neuron its state.
The split that needs the fewest cores counts. Tables of axons, microcode and alignment are unknown
and left out, so a compiler needs these cores or more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ann2sdnn.graph.layers import BaseLayer
from ann2sdnn.sdnn.costs.loihi import (
    CORE_BYTES,
    FRAMES_PER_SECOND,
    INDEX_BYTES,
    MESSAGE_NS,
    NEURON_BYTES,
    NEURONS_PER_CORE,
    OPERATION_NS,
    UPDATE_NS,
    WEIGHT_BYTES,
)

CoreLimit = Literal["neurons", "memory", "rate"]


class LayerWork(NamedTuple):
    """Messages that a layer receives and operations that it does, per frame."""

    messages: float
    operations: float

    def times(self, factor: float) -> "LayerWork":
        """The work on pictures with ``factor`` times the pixels."""
        return LayerWork(self.messages * factor, self.operations * factor)


@dataclass(frozen=True)
class LayerCores:
    """Cores of one layer: by its neurons, by its memory, and by its work (None: not measured).

    ``weight_bytes``: of one copy of all weights. ``busy_us``: microseconds per frame that one core
    would need for all neurons and for the work, as far as it is known.
    """

    name: str
    neurons: int
    weight_bytes: int
    by_neurons: int
    by_memory: int
    by_rate: int | None
    cores: int
    busy_us: float

    @property
    def limit(self) -> CoreLimit:
        """What asks for most cores."""
        asked: tuple[tuple[CoreLimit, int], ...] = (
            ("neurons", self.by_neurons),
            ("memory", self.by_memory),
            ("rate", self.by_rate or 0),
        )
        return max(asked, key=lambda one: one[1])[0]


def layer_cores(layer: BaseLayer, work: LayerWork | None = None) -> LayerCores:
    """The cores of ``layer``; a spec's or a graph's."""
    channels, height, width = layer.preactivation_shape
    pixels, neurons = height * width, channels * height * width
    stored = weight_bytes(layer)
    busy_us = busy_microseconds(neurons, work)
    by_rate = None if work is None else max(1, math.ceil(busy_us * 1e-6 * FRAMES_PER_SECOND))
    of_channel = stored / channels
    held = split_cores(channels, pixels, of_channel)
    return LayerCores(
        name=layer.name,
        neurons=neurons,
        weight_bytes=stored,
        by_neurons=-(-neurons // NEURONS_PER_CORE),
        by_memory=split_cores(channels, pixels, of_channel, most_neurons=neurons),
        by_rate=by_rate,
        cores=max(held, by_rate or 0),
        busy_us=busy_us,
    )


def network_cores(
    layers: Sequence[BaseLayer], work: Sequence[LayerWork | None] = ()
) -> list[LayerCores]:
    """The cores of every layer; ``work``: of each, or nothing where it was not measured."""
    known = work or [None] * len(layers)
    return [layer_cores(layer, own) for layer, own in zip(layers, known, strict=True)]


def weight_bytes(layer: BaseLayer) -> int:
    """Bytes of one copy of the layer's weights, zeros included or left out: whichever is less."""
    weights = [synapse.weight for synapse in layer.synapses]
    dense = sum(weight.size for weight in weights) * WEIGHT_BYTES
    sparse = sum(int(np.count_nonzero(weight)) for weight in weights)
    return int(min(dense, sparse * (WEIGHT_BYTES + INDEX_BYTES)))


def busy_microseconds(neurons: int, work: LayerWork | None) -> float:
    """Time per frame of one core for all ``neurons`` and the ``work``."""
    busy_ns = neurons * UPDATE_NS
    if work is not None:
        busy_ns += work.operations * OPERATION_NS + work.messages * MESSAGE_NS
    return busy_ns / 1e3


def split_cores(
    channels: int, pixels: int, channel_bytes: float, *, most_neurons: int = NEURONS_PER_CORE
) -> int:
    """The fewest cores for neurons of ``channels`` x ``pixels``.

    ``channel_bytes``: weights of one output channel. ``most_neurons``: of a core. Where the weights
    of one channel leave no room for a neuron, its inputs are divided among several cores.
    """
    fewest = _one_channel_each(channels, pixels, channel_bytes, most_neurons)
    for own in range(2, channels + 1):
        room = CORE_BYTES - own * channel_bytes
        held = min(most_neurons // own, int(room // (own * NEURON_BYTES)))
        if held < 1:
            break
        fewest = min(fewest, -(-channels // own) * -(-pixels // held))
    return fewest


def _one_channel_each(channels: int, pixels: int, channel_bytes: float, most_neurons: int) -> int:
    """The fewest cores where none has two channels. Inputs are divided among more cores than they
    need where that leaves so much more room for neurons.
    """
    parts = max(1, math.ceil(channel_bytes / (CORE_BYTES - NEURON_BYTES)))
    fewest, held = parts * pixels, 0
    while parts < fewest and held < most_neurons:
        held = min(most_neurons, int((CORE_BYTES - channel_bytes / parts) // NEURON_BYTES))
        fewest = min(fewest, parts * -(-pixels // held))
        parts += 1
    return channels * fewest
