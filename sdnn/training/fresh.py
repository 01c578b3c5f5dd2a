"""Fresh weights for an SDNN of the same architecture as a conversion's.

Weights are drawn as He et al. (2015) do, and then each layer is scaled so that on a few frames its
activations are as large as the conversion's there (after Mishkin and Matas, 2016): the grid, the
thresholds and the output's scale, all kept, then mean to the fresh network what they mean to the
converted one. Otherwise its signal would vanish or leave its range before anything is learned.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.operations import linear, pool
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer, network_from_spec
from ann2sdnn.sdnn.spec.spec import UNITS, WEIGHT_MAX, WEIGHT_STEP, Spec
from ann2sdnn.support.integers import narrowed


@torch.no_grad()
def fresh_spec(spec: Spec, frames: Tensor, seed: int) -> Spec:
    """``spec`` with fresh weights and no bias, scaled on ``frames`` [N, C, H, W] uint8."""
    generator = torch.Generator().manual_seed(seed)
    network = network_from_spec(spec)
    old = new = frames.to(torch.float32) * network.input_step
    layers = []
    for layer, one in zip(network.layers, spec.layers, strict=True):
        old = _activation(layer, old, layer.weight)
        if layer.is_relay:
            layers.append(one)
            new = _activation(layer, new, layer.weight)
            continue
        weight = torch.randn(layer.weight.shape, generator=generator) * _he(layer)
        size = _size(_activation(layer, new, weight, biased=False))
        weight = _on_grid(weight * (_size(old) / size if size > 0 else 1.0))
        new = _activation(layer, new, weight, biased=False)
        what = f"layer {layer.name}: a fresh weight"
        integers = narrowed((weight * UNITS).round().numpy(), np.int16, what)
        bias = None if one.bias is None else np.zeros_like(one.bias)
        layers.append(replace(one, weight=integers, bias=bias))
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
