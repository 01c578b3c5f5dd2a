"""Networks for frames of another size than they were read for."""

from dataclasses import replace
from typing import TypeVar

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.graph.layers import BaseLayer, Network, with_synapses
from ann2sdnn.support.errors import ModelError, UsageError

_N = TypeVar("_N", bound=Network)


def resized(network: _N, size: Pair) -> _N:
    """The network for frames of ``size``; ModelError where a layer takes another size only."""
    shapes: list[Shape] = [(network.input_shape[0], *size)]
    layers: list[BaseLayer] = []
    for layer, planes in zip(network.layers, network.reads, strict=True):
        synapses = []
        for synapse, plane in zip(layer.synapses, planes, strict=True):
            if synapse.geometry.reads_flat and synapse.input_shape != shapes[plane]:
                raise ModelError(
                    f"the {synapse.geometry.name} layer {layer.name} takes frames of one size only"
                )
            synapses.append(replace(synapse, input_shape=shapes[plane]))
        try:
            layers.append(with_synapses(layer, synapses))
            shapes.append(layers[-1].output_shape)
        except ModelError as error:
            arriving = " and ".join(str(shapes[plane]) for plane in planes)
            raise ModelError(f"an input of shape {arriving} does not fit {error}") from error
    input_shape = (network.input_shape[0], *size)
    return replace(network, input_shape=input_shape, layers=tuple(layers))  # type: ignore[type-var]


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
