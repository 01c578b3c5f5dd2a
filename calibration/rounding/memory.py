"""How much memory error-compensated rounding takes, and what is done where that is too much."""

from collections.abc import Sequence

from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph, Layer

_FLOAT, _DOUBLE = 4, 8
_FRAMES_BYTES = 2 * 10**9  # activations of all frames of two neighbouring layers, float and rounded
_FEWEST_FRAMES = 4
_MOMENTS_BYTES = 4 * 10**9
_COPIES = 7  # of the matrix of moments: itself, damped, ordered, two factors, the inverse, a sum


def rounding_frames(graph: Graph, most: int) -> int:
    """Frames to round on: ``most``, or as many as 2 GB hold, and 4 at least."""
    shapes = [graph.input_shape, *(layer.output_shape for layer in graph.layers)]
    values = [shape[0] * shape[1] * shape[2] for shape in shapes]
    states = [_values(layer) for layer in graph.layers]
    largest = max(before + state for before, state in zip(values, states, strict=False))
    return max(_FEWEST_FRAMES, min(most, _FRAMES_BYTES // (2 * _FLOAT * largest)))


def too_wide(graph: Graph) -> tuple[str, ...]:
    """Names of layers whose neurons read so many inputs that 4 GB do not hold their moments."""
    return tuple(layer.name for layer in graph.layers if _moments(layer) > _MOMENTS_BYTES)


def too_wide_note(names: Sequence[str]) -> str:
    """What a user is told about them."""
    return (
        f"{', '.join(names)}: too many inputs a neuron for error-compensated rounding (it would"
        " take more than 4 GB), so the weights there are rounded to the nearest"
    )


def _moments(layer: Layer) -> int:
    if is_average(layer):
        return 0
    _, _, n_channels, n_taps = layer.geometry.split(layer.weight, layer.input_shape[0]).shape
    return _COPIES * _DOUBLE * (n_channels * n_taps) ** 2


def _values(layer: Layer) -> int:
    channels, height, width = layer.preactivation_shape
    return channels * height * width
