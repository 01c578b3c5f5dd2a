"""Estimates the memory of error-compensated rounding, and limits it."""

import math
from collections.abc import Sequence

from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph, Layer

_FLOAT, _DOUBLE = 4, 8
_FRAMES_BYTES = 2 * 10**9  # activations of all frames, two neighbouring layers, float and rounded
_FEWEST_FRAMES = 4
_MOMENTS_BYTES = 4 * 10**9
_COPIES = 7  # of the moments: the matrix, damped, ordered, two factors, the inverse, a sum


def rounding_frames(graph: Graph, most: int) -> int:
    """Frames to round on: ``most``, or as many as 2 GB hold, and at least 4."""
    sent = [graph.input_shape, *(layer.output_shape for layer in graph.layers)]
    states = [layer.preactivation_shape for layer in graph.layers]
    largest = max(
        math.prod(before) + math.prod(state) for before, state in zip(sent, states, strict=False)
    )
    return max(_FEWEST_FRAMES, min(most, _FRAMES_BYTES // (2 * _FLOAT * largest)))


def too_wide(graph: Graph) -> tuple[str, ...]:
    """Names of layers whose neurons read so many inputs that 4 GB do not hold their moments."""
    return tuple(layer.name for layer in graph.layers if _moments(layer) > _MOMENTS_BYTES)


def too_wide_note(names: Sequence[str]) -> str:
    """The warning about these layers."""
    return (
        f"{', '.join(names)}: too many inputs per neuron for error-compensated rounding (it would"
        " take more than 4 GB), so the weights there are rounded to the nearest"
    )


def _moments(layer: Layer) -> int:
    if is_average(layer):
        return 0
    _, _, n_channels, n_taps = layer.geometry.split(layer.weight, layer.input_shape[0]).shape
    return _COPIES * _DOUBLE * (int(n_channels) * int(n_taps)) ** 2
