r"""Measures how errors inside the network change its output, from gradients of random probes.

A small error e changes the output by J e, with J the derivative of the output by the quantity in
error. If v is white noise of the output's shape, then E (J^T v)^2 is the diagonal of J^T J: the
output energy of independent errors of unit variance (Hutchinson's estimator). One backward pass
gives it for all weights and activations of the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation, linear
from ann2sdnn.support.progress import SILENT, Reporter

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerSensitivity:
    """Output energy per frame for errors in one layer, in the network's own units.

    ``weight``: for an error of variance 1 in every weight, in the weight's layout with the taps of
    a kernel summed up ([O, I / groups, 1, 1]; dense: [O, C * H * W]). ``message`` [O]: for messages
    floored to whole numbers: a mean error of 1/2, which adds up over the pixels, and a variance of
    1/12. ``bias`` [O]: for an error of variance 1 in the bias. ``activation`` [O]: for independent
    errors of variance 1 in the output of the layer, where it is not zero.
    """

    weight: FloatArray
    message: FloatArray
    bias: FloatArray
    activation: FloatArray


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """The sensitivities of all layers, and the energy per frame of the output.

    ``input``: output energy per frame for independent errors of variance 1 in all values of the
    input; 0 for uint8 frames, which enter exactly.
    """

    layers: tuple[LayerSensitivity, ...]
    output_energy: float
    input: float = 0.0


def measure_sensitivity(
    graph: Graph,
    frames: Sequence[Tensor],
    *,
    probes: int = 2,
    reporter: Reporter = SILENT,
) -> Sensitivity:
    """Average over ``frames`` ([C, H, W] each) and ``probes`` random outputs per frame."""
    network = FloatNetwork(graph)
    weights = [torch.from_numpy(layer.weight.copy()) for layer in graph.layers]
    totals = [_Totals(weight) for weight in weights]
    generator = torch.Generator().manual_seed(0)
    energy = by_input = 0.0
    is_rounded = graph.preprocessing.dtype != "uint8"
    with reporter.task("Sensitivities", len(frames) * probes, "probes") as task:
        for frame in frames:
            weights = [weight.detach().requires_grad_() for weight in weights]
            x = network.encode(frame[None]).requires_grad_(is_rounded)
            before, sent = _forward(graph, x, weights)
            output = sent[-1]
            energy += float(output.detach().square().sum())
            for _ in range(probes):
                probe = torch.randn(output.shape, generator=generator)
                inner = [*weights, *before, *sent]
                wanted = [*inner, x] if is_rounded else inner
                gradients = torch.autograd.grad(output, wanted, probe, retain_graph=True)
                if is_rounded:
                    by_input += float(gradients[-1].double().square().sum())
                    gradients = gradients[:-1]
                by_kind = [gradients[i :: len(weights)] for i in range(len(weights))]
                for total, (by_weight, by_z, by_sent), a in zip(totals, by_kind, sent, strict=True):
                    total.add(by_weight, by_z, by_sent, a.detach())
                task.advance()
    n_passes = len(frames) * probes
    layers = tuple(total.result(n_passes) for total in totals)
    return Sensitivity(layers, energy / len(frames), by_input / n_passes)


def _forward(
    graph: Graph, x: Tensor, weights: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Pre-activations and outputs of all layers, with their derivatives."""
    before, sent = [], []
    for layer, weight in zip(graph.layers, weights, strict=True):
        z = linear(layer.geometry, x, weight)
        if layer.bias is not None:
            z = z + torch.from_numpy(layer.bias.copy())[:, None, None]
        x = activation(layer, z)
        before.append(z)
        sent.append(x)
    return before, sent


class _Totals:
    """Running sums of squared gradients of one layer."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = torch.zeros(weight.shape, dtype=torch.float64)
        self.message: Tensor | float = 0.0
        self.bias: Tensor | float = 0.0
        self.activation: Tensor | float = 0.0

    def add(self, by_weight: Tensor, by_z: Tensor, by_sent: Tensor, sent: Tensor) -> None:
        """Add gradients of one probe by the weight, the pre-activation and the output ``sent``."""
        self.weight += by_weight.double().square()
        self.bias += by_z.sum(dim=(0, 2, 3), dtype=torch.float64).square()
        # Zeros are exact; flooring changes only the others.
        active = torch.where(sent != 0, by_sent, torch.zeros(()))
        white = active.square().sum(dim=(0, 2, 3), dtype=torch.float64)
        coherent = active.sum(dim=(0, 2, 3), dtype=torch.float64).square()
        self.activation += white
        self.message += white / 12 + coherent / 4

    def result(self, n_passes: int) -> LayerSensitivity:
        taps = tuple(range(2, self.weight.ndim))
        weight = self.weight.sum(dim=taps, keepdim=True) if taps else self.weight
        return LayerSensitivity(
            weight=weight.numpy() / n_passes,
            message=np.asarray(self.message, np.float64) / n_passes,
            bias=np.asarray(self.bias, np.float64) / n_passes,
            activation=np.asarray(self.activation, np.float64) / n_passes,
        )
