r"""Measures how errors inside the network change its output, from gradients of random probes.

A small error e changes the output by J e, with J the derivative of the output by the quantity in
error. If v is white noise of the output's shape, then E (J^T v)^2 is the diagonal of J^T J: the
output energy of independent errors of unit variance (Hutchinson's estimator). One backward pass
gives it for all weights and activations of the network. Several outputs are weighted by their own
energies (``outputs.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import by_value, output_weights
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation, summed
from ann2sdnn.graph.planes import Planes, joined
from ann2sdnn.support.progress import SILENT, Reporter

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerSensitivity:
    """Output energy per frame for errors in one layer, in the network's own units.

    ``weights``: per synapse, for an error of variance 1 in every weight, in the weight's layout
    with the taps of a kernel summed up ([O, I / groups, 1, 1]; dense: [O, C * H * W]). ``message``
    [O]: for messages floored to whole numbers: a mean error of 1/2, which adds up over the pixels,
    and a variance of 1/12. ``bias`` [O]: for an error of variance 1 in the bias. ``activation``
    [O]: for independent errors of variance 1 in the output of the layer, where it is not zero.
    """

    weights: tuple[FloatArray, ...]
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
    weights = [
        [torch.from_numpy(synapse.weight.copy()) for synapse in layer.synapses]
        for layer in graph.layers
    ]
    totals = [_Totals(own) for own in weights]
    generator = torch.Generator().manual_seed(0)
    energy = by_input = 0.0
    is_rounded = graph.preprocessing.dtype != "uint8"
    by_output = by_value(output_weights(graph, frames), graph.output_shapes)
    with reporter.task("Sensitivities", len(frames) * probes, "probes") as task:
        for frame in frames:
            weights = [[one.detach().requires_grad_() for one in own] for own in weights]
            x = network.encode(frame[None]).requires_grad_(is_rounded)
            before, sent, output = _forward(graph, x, weights)
            output = output * by_output
            energy += float(output.detach().square().sum())
            for _ in range(probes):
                probe = torch.randn(output.shape, generator=generator)
                inner = [*chain.from_iterable(weights), *before, *sent]
                wanted = [*inner, x] if is_rounded else inner
                gradients = iter(torch.autograd.grad(output, wanted, probe, retain_graph=True))
                by_weights = [[next(gradients) for _ in own] for own in weights]
                by_z, by_sent = ([next(gradients) for _ in totals] for _ in range(2))
                for index, total in enumerate(totals):
                    total.add(by_weights[index], by_z[index], by_sent[index], sent[index].detach())
                by_input += sum(float(one.double().square().sum()) for one in gradients)
                task.advance()
    n_passes = len(frames) * probes
    layers = tuple(total.result(n_passes) for total in totals)
    return Sensitivity(layers, energy / len(frames), by_input / n_passes)


def _forward(
    graph: Graph, x: Tensor, weights: Sequence[Sequence[Tensor]]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Pre-activations and outputs of all layers, with their derivatives, and the joined output."""
    before, sent = [], []
    planes = Planes(graph, x)
    for layer, own in zip(graph.layers, weights, strict=True):
        z = summed(layer, planes.inputs(), own)
        if layer.bias is not None:
            z = z + torch.from_numpy(layer.bias.copy())[:, None, None]
        before.append(z)
        sent.append(activation(layer, z))
        planes.put(sent[-1])
    return before, sent, joined(planes.outputs)


class _Totals:
    """Running sums of squared gradients of one layer."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.weights = [torch.zeros(weight.shape, dtype=torch.float64) for weight in weights]
        self.message: Tensor | float = 0.0
        self.bias: Tensor | float = 0.0
        self.activation: Tensor | float = 0.0

    def add(
        self, by_weights: Sequence[Tensor], by_z: Tensor, by_sent: Tensor, sent: Tensor
    ) -> None:
        """Add gradients of one probe by the weights, the pre-activation and the output ``sent``."""
        for own, by_weight in zip(self.weights, by_weights, strict=True):
            own += by_weight.double().square()  # noqa: PLW2901  # in place
        self.bias += by_z.sum(dim=(0, 2, 3), dtype=torch.float64).square()
        # Zeros are exact; flooring changes only the others.
        active = torch.where(sent != 0, by_sent, torch.zeros(()))
        white = active.square().sum(dim=(0, 2, 3), dtype=torch.float64)
        coherent = active.sum(dim=(0, 2, 3), dtype=torch.float64).square()
        self.activation += white
        self.message += white / 12 + coherent / 4

    def result(self, n_passes: int) -> LayerSensitivity:
        return LayerSensitivity(
            weights=tuple(_without_taps(weight).numpy() / n_passes for weight in self.weights),
            message=np.asarray(self.message, np.float64) / n_passes,
            bias=np.asarray(self.bias, np.float64) / n_passes,
            activation=np.asarray(self.activation, np.float64) / n_passes,
        )


def _without_taps(weight: Tensor) -> Tensor:
    """Sums over the taps of a kernel."""
    taps = tuple(range(2, weight.ndim))
    return weight.sum(dim=taps, keepdim=True) if taps else weight
