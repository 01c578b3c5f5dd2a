"""Runs the original network and counts its operations.

An operation is one multiplication by a non-zero weight; taps that fall outside the image do not
count.
"""

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation, fan_out

Counts = NDArray[np.int64]


class CountedAnn:
    """The original network, dense; also counts the operations that are left if zeros are skipped.

    ``activations`` [L + 1]: non-zero activations of the input and of each layer. ``nonzero_macs``
    [L]: multiplications in each layer by a non-zero activation.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.seconds = 0.0
        self.n_frames = 0
        self._network = FloatNetwork(graph)
        self._fan_outs = [
            fan_out(layer.geometry, torch.tensor(layer.weight), layer.input_shape).double()
            for layer in graph.layers
        ]
        self.macs: Counts = np.array([int(f.sum()) for f in self._fan_outs])
        self.activations: Counts = np.zeros(len(graph.layers) + 1, np.int64)
        self.nonzero_macs: Counts = np.zeros(len(graph.layers), np.int64)

    def reset(self) -> None:
        """Does nothing: a frame does not depend on the frame before it."""

    @torch.inference_mode()
    def run(self, frames: Tensor) -> Tensor:
        """The output for ``frames`` uint8 [N, C, H, W]."""
        x = self._network.encode(frames)
        self.n_frames += len(frames)
        for index, layer in enumerate(self.graph.layers):
            self._count(index, x)
            started = time.perf_counter()
            x = activation(layer, self._network.preactivation(index, x))
            self.seconds += time.perf_counter() - started
        self.activations[-1] += int(torch.count_nonzero(x))
        return x

    def _count(self, index: int, x: Tensor) -> None:
        """Count the input ``x`` of layer ``index``."""
        times_nonzero = torch.count_nonzero(x, dim=0)
        self.activations[index] += int(times_nonzero.sum())
        self.nonzero_macs[index] += int((times_nonzero * self._fan_outs[index]).sum())
