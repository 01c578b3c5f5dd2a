"""Networks for frames of another size than they were read for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ann2sdnn.graph.geometry import Connected, Pair, Shape
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.support.errors import ModelError, UsageError


class _Layer(Connected, Protocol):
    @property
    def geometry(self) -> Geometry:
        """Its linear operation."""


class _Network(Protocol):
    """The float graph or the spec."""

    @property
    def input_shape(self) -> Shape:
        """Shape of its input."""

    @property
    def layers(self) -> Sequence[_Layer]:
        """Its layers in order."""


_N = TypeVar("_N", bound=_Network)


def resized(network: _N, size: Pair) -> _N:
    """The network for frames of ``size``; ModelError where a layer takes another size only."""
    shape: Shape = (network.input_shape[0], *size)
    changes: dict[str, Any] = {"input_shape": shape}
    layers: list[_Layer] = []
    for layer in network.layers:
        if layer.geometry.reads_flat and layer.input_shape != shape:
            raise ModelError(
                f"the {layer.geometry.name} layer {layer.name} takes frames of one size only"
            )
        try:
            layers.append(replace(layer, input_shape=shape))  # type: ignore[type-var]
            shape = layers[-1].output_shape
        except ModelError as error:
            raise ModelError(
                f"an input of shape {shape} does not fit layer {layer.name}: {error}"
            ) from error
    return replace(network, **changes, layers=tuple(layers))  # type: ignore[type-var]


def cropped(network: _N, size: Pair | None) -> _N:
    """The network for frames of the size of the option --crop; None leaves it as it is.

    The size in a file is that of the frames that the file was exported for; other frames need no
    other file. Raises UsageError where a layer takes one size only.
    """
    if size is None or size == network.input_shape[1:]:
        return network
    try:
        return resized(network, size)
    except ModelError as error:
        raise UsageError(f"--crop {size[0]}x{size[1]}: {error}; leave --crop out") from error
