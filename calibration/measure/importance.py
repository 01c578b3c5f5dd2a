"""Measures which pixels of a layer's pre-activation reach the output."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import Weights, by_value
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation
from ann2sdnn.graph.planes import Planes, joined

_SMOOTHED = 9  # pixels
_LEAST = 0.1  # of the mean


def pixel_importance(
    graph: Graph, frame: Tensor, generator: torch.Generator, weights: Weights = (1.0,)
) -> list[Tensor]:
    """Importance [H, W] with mean 1 of every layer for ``frame`` (uint8 [C, H, W]).

    It is the squared gradient of a random output probe by the pre-activation, averaged over
    channels and neighbouring pixels. ``weights``: of the outputs (``outputs.py``).
    """
    before: list[Tensor] = []
    with torch.inference_mode(mode=False), torch.set_grad_enabled(True):
        network = FloatNetwork(graph)
        planes = Planes(graph, network.encode(frame[None].clone()))
        for index, layer in enumerate(graph.layers):
            z = network.preactivation(index, planes.inputs())
            if not z.requires_grad:  # it reads the input only
                z.requires_grad_()
            before.append(z)
            planes.put(activation(layer, z))
        output = joined(planes.outputs)
        probe = torch.randn(output.shape, generator=generator)
        probe *= by_value(weights, graph.output_shapes)
        gradients = torch.autograd.grad(output, before, probe)
    return [_smooth(gradient[0].square().mean(dim=0)) for gradient in gradients]


def _smooth(values: Tensor) -> Tensor:
    size = [min(_SMOOTHED, n - 1 + n % 2) for n in values.shape]
    pads = [n // 2 for n in size]
    smooth = F.avg_pool2d(values[None, None], size, 1, pads, count_include_pad=False)[0, 0]
    mean = float(smooth.mean())
    if mean == 0:
        return torch.ones_like(smooth)
    return (smooth / mean + _LEAST) / (1 + _LEAST)
