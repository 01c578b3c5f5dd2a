"""A lowered network with carried channels as populations of their own, for other backends.

netx keeps both in one layer. The engine has one threshold per population, and these have two.
"""

from dataclasses import replace

import numpy as np

from ann2sdnn.graph.layers import INPUT, Synapse, with_synapses
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


def carried_apart(spec: Spec) -> Spec:
    """The same neurons in other populations; a spec without carried channels as it is.

    Its outputs are those of ``spec``, flattened, where the last layer carries channels.
    """
    if not any(layer.n_carried for layer in spec.layers):
        return spec
    sources = [(INPUT, spec.input_shape[0])]
    layers: list[SpecLayer] = []
    for layer in spec.layers:
        parts = _parts(layer)
        layers += [_reading(part, sources) for part in parts]
        sources = [(part.name, part.preactivation_shape[0]) for part in parts]
    return replace(spec, layers=tuple(layers), output_names=tuple(name for name, _ in sources))


def _parts(layer: SpecLayer) -> list[SpecLayer]:
    """The layer's own neurons and the carried ones, both reading all that it reads."""
    n_own = layer.preactivation_shape[0] - layer.n_carried
    if n_own == layer.preactivation_shape[0]:
        return [layer]
    own = replace(
        layer,
        weight=layer.weight[:n_own],
        bias=None if layer.bias is None else layer.bias[:n_own],
        scale=layer.scale[:n_own],
        n_carried=0,
    )
    carried = replace(
        layer,
        name=f"{layer.name}.carried",
        weight=layer.weight[n_own:],
        bias=None,
        scale=layer.scale[n_own:],
        threshold=0,
        n_carried=0,
    )
    return [own, carried]


def _reading(layer: SpecLayer, sources: list[tuple[str, int]]) -> SpecLayer:
    """The layer reading its input from ``sources``, names and numbers of channels, in order."""
    if len(sources) == 1:
        return replace(layer, source=sources[0][0])
    channels, height, width = layer.input_shape
    n_out, is_flat = len(layer.weight), layer.geometry.reads_flat
    by_input = layer.weight.reshape(n_out, channels, -1)
    synapses, first = [], 0
    for name, n_channels in sources:
        weight = by_input[:, first : first + n_channels]
        first += n_channels
        taps = (-1,) if is_flat else (n_channels, *layer.weight.shape[2:])
        shape = (n_channels, height, width)
        synapses.append(Synapse(layer.geometry, weight.reshape(n_out, *taps), shape, name))
    needed = [synapse for synapse in synapses if np.any(synapse.weight)]
    return with_synapses(layer, needed or synapses[:1])
