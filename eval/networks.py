"""The networks that are compared, each run on the same frames with its work counted.

Work is counted at the border-correct fan-out, zero weights excluded: an operation is one
multiplication by a non-zero weight.
"""

import time
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.convert.functional import FloatNetwork, activation, fan_out
from ann2sdnn.convert.graph import Graph
from ann2sdnn.sdnn.backend import Backend, MessageCounter
from ann2sdnn.sdnn.network import SigmaDeltaNetwork

Counts = NDArray[np.int64]


class CountedNetwork(Protocol):
    """Frames in, heat maps out; what it cost is added up on the way."""

    @property
    def seconds(self) -> float:
        """Wall-clock seconds spent so far, on this machine."""

    def reset(self) -> None:
        """The next frame is the first of a run."""

    def run(self, frames: Tensor) -> Tensor:
        """Heat maps [T, 13, H, W] for uint8 frames [T, 1, H, W], in order."""


class CountedAnn:
    """The original network, dense; also counts what skipping zeros would leave to do.

    ``activations`` [L + 1]: non-zero activations sent on, the input's first. ``nonzero_macs`` [L]:
    multiplications in each layer that touch a non-zero activation.
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
        """Nothing to forget: a frame does not depend on the one before it."""

    @torch.inference_mode()
    def run(self, frames: Tensor) -> Tensor:
        """Heat maps for ``frames``."""
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


class CountedSdnn:
    """A sigma-delta backend; counts as ``sdnn.backend.Run`` defines them, summed over frames.

    ``dense_macs`` is what its integer weights, many of them rounded to zero, would cost dense.
    """

    def __init__(self, backend: Backend, network: SigmaDeltaNetwork) -> None:
        n_layers = len(network.layers)
        self.dense_macs = MessageCounter(network).dense_macs
        self.seconds = 0.0
        self.n_frames = 0
        self.events: Counts = np.zeros(n_layers + 1, np.int64)
        self.synops: Counts = np.zeros(n_layers, np.int64)
        self.overflows: Counts = np.zeros(n_layers, np.int64)
        self.oversized: Counts = np.zeros(n_layers, np.int64)
        self._backend = backend

    def reset(self) -> None:
        """Forget all states."""
        self._backend.reset()

    def run(self, frames: Tensor) -> Tensor:
        """Heat maps for ``frames``, decoded, in the original network's units."""
        started = time.perf_counter()
        run = self._backend.run(frames)
        self.seconds += time.perf_counter() - started
        self.n_frames += len(frames)
        self.events += run.events.sum(dim=0).numpy()
        self.synops += run.synops.sum(dim=0).numpy()
        self.overflows += run.overflows.sum(dim=0).numpy()
        self.oversized += run.oversized.sum(dim=0).numpy()
        return run.outputs
