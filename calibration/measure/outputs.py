r"""Weighs the outputs of a network, so that each counts by its own relative error.

With energies :math:`E_j` of n outputs, errors in output j are multiplied by
:math:`\sqrt{E / (n E_j)}`, E the sum of all :math:`E_j`. The energies of the weighted outputs are
then all the same and still add up to E, so that a head with small values counts as much as one with
large values. The weight of a single output is 1.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.planes import separated

Weights = tuple[float, ...]
FloatArray = NDArray[np.float64]


def balancing(energies: Sequence[float]) -> Weights:
    """The weight of each output for their ``energies``; 1 for an output without energy."""
    total = sum(energies)
    return tuple(math.sqrt(total / (len(energies) * own)) if own > 0 else 1.0 for own in energies)


def output_energies(outputs: Tensor, shapes: Sequence[Shape]) -> FloatArray:
    """The energy of each output in the joined ``outputs`` [N, ...]."""
    parts = separated(outputs, shapes)
    return np.array([float(part.square().sum(dtype=torch.float64)) for part in parts])


def by_value(weights: Weights, shapes: Sequence[Shape]) -> Tensor:
    """[K, 1, 1]: ``weights`` for joined outputs of ``shapes``; [1, 1, 1] for a single output."""
    if len(shapes) == 1:
        return torch.full((1, 1, 1), weights[0])
    sizes = torch.tensor([math.prod(shape) for shape in shapes])
    return torch.tensor(weights).repeat_interleave(sizes)[:, None, None]


def output_weights(graph: Graph, frames: Sequence[Tensor]) -> Weights:
    """The weights of the outputs of ``graph`` on ``frames`` [C, H, W] each."""
    if len(graph.output_planes) == 1:
        return (1.0,)
    network = FloatNetwork(graph)
    energies = np.zeros(len(graph.output_planes))
    for frame in frames:
        energies += output_energies(network(network.encode(frame[None])), graph.output_shapes)
    return balancing(energies.tolist())


def relative_errors(ann: Tensor, outputs: Tensor, shapes: Sequence[Shape]) -> list[float | None]:
    """For each frame of ``outputs`` [n, O, H, W] the relative L2 error against the ANN's: of
    several outputs, of ``shapes``, the root of the mean of their squares.

    An output that the ANN leaves at 0 does not count; None where it leaves all at 0.
    """
    squares, energies = (
        frame_energies(outputs.double() - ann.double(), shapes),
        frame_energies(ann, shapes),
    )
    shares = [
        own[energy > 0] / energy[energy > 0] for own, energy in zip(squares, energies, strict=True)
    ]
    return [math.sqrt(share.mean()) if share.size else None for share in shares]


def frame_energies(values: Tensor, shapes: Sequence[Shape]) -> FloatArray:
    """The energy of each output in each frame of ``values`` [n, O, H, W]: [n, outputs]."""
    parts = separated(values.double(), shapes)
    energies = [part.flatten(1).square().sum(dim=1) for part in parts]
    return np.asarray(torch.stack(energies, dim=1), np.float64)
