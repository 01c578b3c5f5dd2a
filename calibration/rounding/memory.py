"""Estimates the memory of error-compensated rounding, and limits it."""

import math
from collections.abc import Sequence

from ann2sdnn.calibration.scales.plan import LayerPlan, RangePlan
from ann2sdnn.graph.layers import Graph, Layer, Network

_FLOAT, _DOUBLE = 4, 8
_FRAMES_BYTES = 2 * 10**9  # activations of all frames that are still read, float and rounded
_FEWEST_FRAMES = 4
_MOMENTS_BYTES = 4 * 10**9
_COPIES = 7  # of the moments: the matrix, damped, ordered, two factors, the inverse, a sum


def rounding_frames(graph: Graph, most: int) -> int:
    """Frames to round on: ``most``, or as many as 2 GB hold, and at least 4."""
    return max(_FEWEST_FRAMES, min(most, _FRAMES_BYTES // (2 * _FLOAT * most_held(graph))))


def most_held(network: Network) -> int:
    """Values per frame while a network is computed layer by layer: the planes that are still to be
    read, and the outputs, beside the pre-activation of the layer that holds most.
    """
    sizes = [math.prod(shape) for shape in network.plane_shapes]
    last = [readers[-1][0] if readers else -1 for readers in network.readers]
    held = []
    for index, layer in enumerate(network.layers):
        planes = [
            size
            for plane, size in enumerate(sizes[: index + 1])
            if last[plane] >= index or plane in network.output_planes
        ]
        held.append(sum(planes) + math.prod(layer.preactivation_shape))
    return max(held)


def blocks(layer: Layer, plan: LayerPlan) -> tuple[tuple[int, ...], ...]:
    """The synapses, by number, that are rounded together.

    Those without groups are one block where 4 GB hold the moments of all their inputs; every other
    one is a block of its own. A synapse whose weights are exact is left out, and so is one that is
    too wide by itself.
    """
    free = [
        number
        for number in range(len(layer.synapses))
        if number != plan.tied and not _is_too_wide(layer, (number,))
    ]
    whole = tuple(number for number in free if layer.synapses[number].geometry.groups == 1)
    if len(whole) < 2 or _is_too_wide(layer, whole):
        return tuple((number,) for number in free)
    return (whole, *((number,) for number in free if number not in whole))


def too_wide(graph: Graph, plan: RangePlan) -> tuple[str, ...]:
    """Names of layers whose neurons read so many inputs that 4 GB do not hold their moments."""
    return tuple(
        layer.name
        for layer, own in zip(graph.layers, plan.layers, strict=True)
        if any(
            number != own.tied and _is_too_wide(layer, (number,))
            for number in range(len(layer.synapses))
        )
    )


def too_wide_note(names: Sequence[str]) -> str:
    """The warning about these layers."""
    return (
        f"{', '.join(names)}: too many inputs per neuron for error-compensated rounding (it would"
        " take more than 4 GB), so the weights there are rounded to the nearest"
    )


def _is_too_wide(layer: Layer, numbers: Sequence[int]) -> bool:
    n_inputs = 0
    for number in numbers:
        synapse = layer.synapses[number]
        parts = synapse.geometry.split(synapse.weight, synapse.input_shape[0]).shape
        n_inputs += int(parts[2]) * int(parts[3])
    return _COPIES * _DOUBLE * n_inputs**2 > _MOMENTS_BYTES
