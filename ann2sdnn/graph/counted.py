"""Runs the original network and counts its operations.

An operation is one multiplication by a non-zero weight; taps that fall outside the image do not
count.
"""

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.operations import FloatNetwork, activation, fan_out

Counts = NDArray[np.int64]


class SustainedCount:
    """A count per frame without the first frame of each sequence, in which a stateful network sends
    everything.

    The only frame of a sequence counts: then that is what the network is used for.
    """

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._rests: list[tuple[int, int]] = []  # count and number of frames after the first
        self._starts = True

    def begin(self) -> None:
        """The next frame is the first of a sequence."""
        self._starts = True

    def add(self, *, first: int, total: int, n_frames: int) -> None:
        """Count ``n_frames`` more frames of the sequence: ``total``, of it ``first`` in the first
        of them.
        """
        if n_frames == 0:
            return
        if self._starts:
            self._starts = False
            self._firsts.append(first)
            self._rests.append((0, 0))
            total, n_frames = total - first, n_frames - 1
        rest, n_rest = self._rests[-1]
        self._rests[-1] = (rest + total, n_rest + n_frames)

    def add_frames(self, counts: Tensor) -> None:
        """Count the next frames of the sequence: the sums of ``counts`` [T, n] over n."""
        self.add(first=int(counts[:1].sum()), total=int(counts.sum()), n_frames=len(counts))

    @property
    def per_frame(self) -> float:
        """Mean over all frames but the first ones."""
        pairs = zip(self._firsts, self._rests, strict=True)
        counted = [(rest, n_rest) if n_rest else (first, 1) for first, (rest, n_rest) in pairs]
        return sum(count for count, _ in counted) / sum(n_frames for _, n_frames in counted)

    @property
    def first_frame(self) -> float:
        """Mean over the first frames of all sequences."""
        return sum(self._firsts) / len(self._firsts)


class CountedAnn:
    """The original network, dense; also counts the operations that are left if zeros are skipped.

    ``activations`` [L + 1]: non-zero activations of the input and of each layer. ``nonzero_macs``
    [L]: multiplications in each layer by a non-zero activation. ``sustained``: these, of all
    layers.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.seconds = 0.0
        self.n_frames = 0
        self._network = FloatNetwork(graph)
        self._copies = [1, *(layer.copies for layer in graph.layers)]
        self._fan_outs = [
            _original_fan_out(layer, copies)
            for layer, copies in zip(graph.layers, self._copies, strict=False)
        ]
        self.macs: Counts = np.array([int(f.sum()) for f in self._fan_outs])
        self.activations: Counts = np.zeros(len(graph.layers) + 1, np.int64)
        self.nonzero_macs: Counts = np.zeros(len(graph.layers), np.int64)
        self.sustained = SustainedCount()

    def reset(self) -> None:
        """The next frame is the first of a sequence; outputs do not depend on it."""
        self.sustained.begin()

    @torch.inference_mode()
    def run(self, frames: Tensor) -> Tensor:
        """The output for ``frames`` uint8 [N, C, H, W]."""
        x = self._network.encode(frames)
        self.n_frames += len(frames)
        before, first = int(self.nonzero_macs.sum()), 0
        for index, layer in enumerate(self.graph.layers):
            first += self._macs(index, _times_nonzero(self._original(index, x[:1])))
            self._count(index, x)
            started = time.perf_counter()
            x = activation(layer, self._network.preactivation(index, x))
            self.seconds += time.perf_counter() - started
        self.activations[-1] += int(_times_nonzero(x).sum())
        total = int(self.nonzero_macs.sum()) - before
        self.sustained.add(first=first, total=total, n_frames=len(frames))
        return x

    def _count(self, index: int, x: Tensor) -> None:
        """Count the input ``x`` of layer ``index``."""
        times_nonzero = _times_nonzero(x)
        self.activations[index] += int(times_nonzero.sum())
        if self._copies[index] > 1:
            times_nonzero = _times_nonzero(self._original(index, x))
        self.nonzero_macs[index] += self._macs(index, times_nonzero)

    def _original(self, index: int, x: Tensor) -> Tensor:
        """Values that are zero where those of the file's network are, for the input of a layer."""
        copies = self._copies[index]
        if copies == 1:
            return x
        return x.reshape(len(x), -1, copies, *x.shape[2:]).abs().amax(dim=2)

    def _macs(self, index: int, times_nonzero: Tensor) -> int:
        """Multiplications in layer ``index`` by values that are ``times_nonzero`` [C, H, W]."""
        return int((times_nonzero * self._fan_outs[index]).sum())


def _original_fan_out(layer: Layer, copies: int) -> Tensor:
    """Multiplications of the file's network by each of its activations [C, H, W], in a layer.

    ``copies``: channels of the layer's input that hold one of the file's.
    """
    counted = fan_out(layer.geometry, torch.tensor(layer.weight), layer.input_shape).double()
    # An average over each channel has its copies one by one, any other layer makes its own.
    made = 1 if is_average(layer) else layer.copies
    return counted[::copies] / made


def _times_nonzero(values: Tensor) -> Tensor:
    """In how many of N frames each value [C, H, W] of ``values`` [N, C, H, W] is not zero.

    ``torch.count_nonzero`` takes up to eight times as long for values with channels last.
    """
    if not len(values):
        return torch.zeros(values.shape[1:], dtype=torch.int32)
    times = torch.zeros_like(values[0], dtype=torch.int32)
    for frame in values:
        times += frame != 0
    return times
