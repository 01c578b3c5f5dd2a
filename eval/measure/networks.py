"""The networks that are compared, each run on the same frames with its work counted.

Work is counted at the border-correct fan-out, zero weights excluded: an operation is one
multiplication by a non-zero weight.
"""

import time
from typing import Protocol

import numpy as np
from torch import Tensor

from ann2sdnn.graph.counted import Counts
from ann2sdnn.sdnn.engine.run import Backend, MessageCounter
from ann2sdnn.sdnn.spec.network import SigmaDeltaNetwork


class CountedNetwork(Protocol):
    """Frames in, heat maps out; what it cost is added up on the way."""

    @property
    def seconds(self) -> float:
        """Wall-clock seconds spent so far, on this machine."""

    def reset(self) -> None:
        """The next frame is the first of a run."""

    def run(self, frames: Tensor) -> Tensor:
        """Heat maps [T, 13, H, W] for uint8 frames [T, 1, H, W], in order."""


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
        self.counts_of = backend.counts_of
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
