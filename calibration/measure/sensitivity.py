r"""How much an error inside the network moves its output: gradients of random output probes.

For small errors the output moves by J e, with J the derivative of the output by what is in error.
If v is white noise of the output's shape, then E (J^T v)^2 is the diagonal of J^T J, the output
energy that independent errors of unit variance cause (Hutchinson's estimator). One backward pass
gives it for every weight and every activation of the network at once.
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
    """Output energy a frame for errors in one layer, in the network's own units.

    ``weight``: for an error of variance 1 in every weight, in the weight's layout with the taps of
    a kernel summed up ([O, I / groups, 1, 1]; dense: [O, C * H * W]). ``message`` [O]: for messages
    floored to whole numbers; all of them lose on average a half, which adds up over the pixels, and
    a variance of 1/12. ``bias`` [O]: for an error of variance 1 in the bias. ``activation`` [O]:
    for independent errors of variance 1 in what is sent, where it is not zero.
    """

    weight: FloatArray
    message: FloatArray
    bias: FloatArray
    activation: FloatArray


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Every layer's, and the energy a frame of the output itself."""

    layers: tuple[LayerSensitivity, ...]
    output_energy: float


def measure_sensitivity(
    graph: Graph,
    frames: Sequence[Tensor],
    *,
    probes: int = 2,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Sensitivity:
    """Average over ``frames`` (uint8 [C, H, W] each) and ``probes`` random outputs a frame."""
    network = FloatNetwork(graph)
    weights = [torch.from_numpy(layer.weight.copy()) for layer in graph.layers]
    totals = [_Totals(weight) for weight in weights]
    generator = torch.Generator().manual_seed(seed)
    energy = 0.0
    with reporter.task("Sensitivities", len(frames) * probes, "probes") as task:
        for frame in frames:
            weights = [weight.detach().requires_grad_() for weight in weights]
            before, sent = _forward(graph, network.encode(frame[None]), weights)
            output = sent[-1]
            energy += float(output.detach().square().sum())
            for _ in range(probes):
                probe = torch.randn(output.shape, generator=generator)
                gradients = torch.autograd.grad(
                    output, [*weights, *before, *sent], probe, retain_graph=True
                )
                by_kind = [gradients[i :: len(weights)] for i in range(len(weights))]
                for one, (by_weight, by_z, by_sent), a in zip(totals, by_kind, sent, strict=True):
                    one.add(by_weight, by_z, by_sent, a.detach())
                task.advance()
    n_passes = len(frames) * probes
    layers = tuple(total.result(n_passes) for total in totals)
    return Sensitivity(layers, energy / len(frames))


def _forward(
    graph: Graph, x: Tensor, weights: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Pre-activations and what each layer sends on, with their derivatives."""
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
        """Gradients of one probe by the weight, the pre-activation and what was sent."""
        self.weight += by_weight.double().square()
        self.bias += by_z.sum(dim=(0, 2, 3), dtype=torch.float64).square()
        # Zeros are sent as they are: only the others lose something.
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
