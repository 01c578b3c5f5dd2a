"""Random weights for an SDNN with the architecture of a conversion.

Weights are drawn as by He et al. (2015). Each layer is then scaled so that its activations on a few
frames are as large as the conversion's (after Mishkin and Matas, 2016), since grid, thresholds and
output scale are kept. Without that, signals would vanish or leave their range.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.operations import linear, pool
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_STEP
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer, network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.integers import narrowed


@torch.no_grad()
def fresh_spec(spec: Spec, frames: Tensor, seed: int) -> Spec:
    """``spec`` with random weights and zero bias, scaled on ``frames`` [N, C, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    network = network_from_spec(spec)
    old = new = network.enter(frames)
    layers = []
    for layer, kept in zip(network.layers, spec.layers, strict=True):
        old = _activation(layer, old, layer.weight)
        if layer.is_relay:
            layers.append(kept)
            new = _activation(layer, new, layer.weight)
            continue
        weight = torch.randn(layer.weight.shape, generator=generator) * _he(layer)
        size = _size(_activation(layer, new, weight, biased=False))
        weight = _on_grid(weight * (_size(old) / size if size > 0 else 1.0))
        new = _activation(layer, new, weight, biased=False)
        what = f"layer {layer.name}: a fresh weight"
        integers = narrowed((weight * UNITS).round().numpy(), np.int16, what)
        bias = None if kept.bias is None else np.zeros_like(kept.bias)
        layers.append(replace(kept, weight=integers, bias=bias))
    return replace(spec, layers=tuple(layers))


def _activation(
    layer: SigmaDeltaLayer, x: Tensor, weight: Tensor, *, biased: bool = True
) -> Tensor:
    z = linear(layer.geometry, x, weight)
    if biased and layer.bias is not None:
        z = z + layer.bias
    return pool(layer.pool, z.relu() if layer.relu else z) * layer.send_gain


def _he(layer: SigmaDeltaLayer) -> float:
    """Standard deviation sqrt(2 / fan-in)."""
    return math.sqrt(2 / max(1, int(layer.geometry.fan_in(layer.weight.shape))))


def _size(activation: Tensor) -> float:
    return float(activation.square().mean().sqrt())


def _on_grid(weight: Tensor) -> Tensor:
    steps = (weight * (UNITS / WEIGHT_STEP)).round()
    return steps.clamp(-WEIGHT_MAX / WEIGHT_STEP, WEIGHT_MAX / WEIGHT_STEP) * (WEIGHT_STEP / UNITS)
