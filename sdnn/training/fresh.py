"""Random weights for an SDNN with the architecture of a conversion.

Weights are drawn as by He et al. (2015). Each layer is then scaled so that its activations on a few
frames are as large as the conversion's (after Mishkin and Matas, 2016), since grid, thresholds and
output scale are kept. Without that, signals would vanish or leave their range. Relays and shortcuts
(identities beside other synapses) are part of the architecture and keep their weights.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.layers import Synapse, with_synapses
from ann2sdnn.graph.operations import linear, pool
from ann2sdnn.graph.planes import Planes
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_STEP
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer, network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.integers import narrowed


@torch.no_grad()
def fresh_spec(spec: Spec, frames: Tensor, seed: int) -> Spec:
    """``spec`` with random weights and zero bias, scaled on ``frames`` [N, C, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    network = network_from_spec(spec)
    entered = network.enter(frames)
    old, new = Planes(network, entered), Planes(network, entered)
    layers = []
    for layer, kept in zip(network.layers, spec.layers, strict=True):
        synapses = _fresh_synapses(layer, old.inputs(), new.inputs(), generator)
        old.put(_activation(layer, zip(layer.synapses, old.inputs(), strict=True)))
        if synapses is None:
            layers.append(kept)
            new.put(_activation(layer, zip(layer.synapses, new.inputs(), strict=True)))
        else:
            layers.append(_in_integers(kept, synapses))
            now = zip(synapses, new.inputs(), strict=True)
            new.put(_activation(layer, now, biased=False))
    return replace(spec, layers=tuple(layers))


def _fresh_synapses(
    layer: SigmaDeltaLayer,
    old: Sequence[Tensor],
    new: Sequence[Tensor],
    generator: torch.Generator,
) -> list[Synapse] | None:
    """The layer's synapses with random weights on the grid; None where all keep theirs.

    ``old`` and ``new``: what they read in the conversion, and in the network with random weights.
    """
    before = layer.synapses
    drawn = [number for number in range(len(before)) if number not in layer.shortcuts]
    if layer.is_relay or not drawn:
        return None
    deviation = _he([before[number] for number in drawn])
    synapses = list(before)
    for number in drawn:
        weight = torch.randn(before[number].weight.shape, generator=generator) * deviation
        synapses[number] = replace(before[number], weight=weight)
    # Only what is drawn is compared; shortcuts add the same before and after.
    size = _size(_activation(layer, [(synapses[n], new[n]) for n in drawn], biased=False))
    wanted = _size(_activation(layer, [(before[n], old[n]) for n in drawn]))
    factor = wanted / size if size > 0 else 1.0
    for number in drawn:
        weight = _on_grid(synapses[number].weight * factor)
        synapses[number] = replace(synapses[number], weight=weight)
    return synapses


def _activation(
    layer: SigmaDeltaLayer, reads: Iterable[tuple[Synapse, Tensor]], *, biased: bool = True
) -> Tensor:
    """What the layer would send, unrounded, for synapses with what each reads [N, C, H, W]."""
    results = [linear(synapse.geometry, x, synapse.weight) for synapse, x in reads]
    z = sum(results[1:], results[0])
    if biased and layer.bias is not None:
        z = z + layer.bias
    return pool(layer.pool, z.relu() if layer.relu else z) * layer.send_gain


def _he(synapses: Sequence[Synapse]) -> float:
    """Standard deviation sqrt(2 / fan-in) of the weights of neurons that read all of these."""
    fan_in = sum(int(one.geometry.fan_in(one.weight.shape)) for one in synapses)
    return math.sqrt(2 / max(1, fan_in))


def _size(activation: Tensor) -> float:
    return float(activation.square().mean().sqrt())


def _on_grid(weight: Tensor) -> Tensor:
    steps = (weight * (UNITS / WEIGHT_STEP)).round()
    return steps.clamp(-WEIGHT_MAX / WEIGHT_STEP, WEIGHT_MAX / WEIGHT_STEP) * (WEIGHT_STEP / UNITS)


def _in_integers(kept: SpecLayer, synapses: Sequence[Synapse]) -> SpecLayer:
    """``kept`` with the weights of ``synapses``, and a bias of 0 where it has one."""
    what = f"layer {kept.name}: a fresh weight"
    fresh = [
        replace(synapse, weight=narrowed((synapse.weight * UNITS).round().numpy(), np.int16, what))
        for synapse in synapses
    ]
    bias = None if kept.bias is None else np.zeros_like(kept.bias)
    return replace(with_synapses(kept, fresh), bias=bias)
