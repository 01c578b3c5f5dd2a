"""Runs the original network and counts its operations.

An operation is one multiplication by a non-zero weight; taps that fall outside the image do not
count. Dense operations are multiplications by all weights, also by those that pruning set to zero.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph, Layer, Weights
from ann2sdnn.graph.operations import FloatNetwork, activation, fan_out
from ann2sdnn.graph.planes import Planes, joined

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

    def merge(self, later: "SustainedCount") -> None:
        """Count the whole sequences of ``later`` too."""
        self._firsts += later._firsts
        self._rests += later._rests

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


class AnnWork:
    """What the original network did, and the operations that are left if zeros are skipped.

    ``names`` and ``neurons`` [L]: of the layers. ``dense`` [L]: multiplications of a frame in each
    layer by all weights; ``macs`` [L]: by those that are not zero. ``activations`` [L + 1]:
    non-zero activations of the input and of each layer. ``nonzero_macs`` [L]: multiplications in
    each layer by a non-zero activation. ``sustained``: these, of all layers.
    """

    def __init__(self, names: Sequence[str], neurons: Sequence[int]) -> None:
        self.names, self.neurons = tuple(names), tuple(neurons)
        self.seconds = 0.0
        self.n_frames = 0
        self.dense: Counts = np.zeros(len(neurons), np.int64)
        self.macs: Counts = np.zeros(len(neurons), np.int64)
        self.activations: Counts = np.zeros(len(neurons) + 1, np.int64)
        self.nonzero_macs: Counts = np.zeros(len(neurons), np.int64)
        self.sustained = SustainedCount()

    def of_work(self) -> "AnnWork":
        """The counts alone, as another process can be sent them."""
        work = AnnWork(self.names, self.neurons)
        vars(work).update({name: getattr(self, name) for name in vars(work)})
        return work

    def merge(self, later: "AnnWork") -> None:
        """Count the work of ``later`` on other sequences too."""
        self.seconds += later.seconds
        self.n_frames += later.n_frames
        self.activations = self.activations + later.activations
        self.nonzero_macs = self.nonzero_macs + later.nonzero_macs
        self.sustained.merge(later.sustained)


class CountedAnn(AnnWork):
    """The original network, dense, which counts its work."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(
            [layer.name for layer in graph.layers],
            [math.prod(layer.output_shape) for layer in graph.layers],
        )
        self.graph = graph
        self._network = FloatNetwork(graph)
        self._copies = [1, *(layer.copies for layer in graph.layers)]
        # Of every plane, one for each synapse that reads it.
        self._fan_outs = [
            [_fan_out_of(graph.layers[index], number, copies) for index, number in readers]
            for readers, copies in zip(graph.readers, self._copies, strict=True)
        ]
        for readers, fan_outs, copies in zip(
            graph.readers, self._fan_outs, self._copies, strict=True
        ):
            for (index, number), own in zip(readers, fan_outs, strict=True):
                self.macs[index] += own.total
                self.dense[index] += _dense(graph.layers[index], number, copies, own)

    def reset(self) -> None:
        """The next frame is the first of a sequence; outputs do not depend on it."""
        self.sustained.begin()

    @torch.inference_mode()
    def run(self, frames: Tensor) -> Tensor:
        """The output for ``frames`` uint8 [N, C, H, W]."""
        # One by one: the activations of several frames do not fit a cache.
        shown = [self._run(frame[None]) for frame in frames]
        macs = [n for _, n in shown]
        self.sustained.add(first=sum(macs[:1]), total=sum(macs), n_frames=len(frames))
        if not shown:
            return torch.zeros(0, *self.graph.output_shape)
        return torch.cat([output for output, _ in shown]).contiguous()

    def _run(self, frame: Tensor) -> tuple[Tensor, int]:
        """The output for one frame, and its multiplications by values that are not zero."""
        x = self._network.encode(frame)
        self.n_frames += 1
        planes = Planes(self.graph, x)
        macs = self._count(0, x)
        for index, layer in enumerate(self.graph.layers):
            started = time.perf_counter()
            x = activation(layer, self._network.preactivation(index, planes.inputs()))
            self.seconds += time.perf_counter() - started
            planes.put(x)
            macs += self._count(index + 1, x)
        return joined(planes.outputs), macs

    def _count(self, plane: int, x: Tensor) -> int:
        """Count the values ``x`` of a plane; returns the multiplications by them."""
        values = self._original(plane, x)[0]
        n_nonzero = int((x if self._copies[plane] > 1 else values).count_nonzero())
        self.activations[plane] += n_nonzero
        total = 0
        readers = zip(self.graph.readers[plane], self._fan_outs[plane], strict=True)
        for (index, _), own in readers:
            n_operations = own.count(values)
            self.nonzero_macs[index] += n_operations
            total += n_operations
        return total

    def _original(self, index: int, x: Tensor) -> Tensor:
        """Values that are zero where those of the file's network are, for the input of a layer."""
        copies = self._copies[index]
        if copies == 1:
            return x
        return x.reshape(len(x), -1, copies, *x.shape[2:]).abs().amax(dim=2)


def _dense(layer: Layer, number: int, copies: int, nonzero: "_FanOut") -> int:
    """Multiplications by all weights of a synapse, of which ``nonzero`` are by some."""
    weight = layer.synapses[number].weight
    if np.all(weight != 0):
        return nonzero.total
    return _fan_out_of(layer, number, copies, np.ones_like(weight)).total


def _fan_out_of(layer: Layer, number: int, copies: int, weight: Weights | None = None) -> "_FanOut":
    """Multiplications of the file's network by each of its activations, in a synapse of ``layer``.

    ``copies``: channels of what the synapse reads that hold one of the file's. ``weight``: taken
    instead of the synapse's own.
    """
    synapse = layer.synapses[number]
    tensor = torch.tensor(synapse.weight if weight is None else weight)
    counted = fan_out(synapse.geometry, tensor, synapse.input_shape).double()
    # An average over each channel has its copies one by one, any other layer makes its own.
    made = 1 if is_average(layer) else layer.copies
    return _FanOut.of(counted[::copies] / made)


@dataclass(frozen=True, eq=False)
class _FanOut:
    """Operations that each value [C, H, W] causes. ``rows`` int32 [U, W * C]: the rows that differ,
    which are few; ``row_of`` [H].
    """

    rows: NDArray[np.int32]
    row_of: NDArray[np.int64]

    @classmethod
    def of(cls, fan_out: Tensor) -> "_FanOut":
        """Of ``fan_out`` [C, H, W]."""
        every_row = fan_out.permute(1, 2, 0).flatten(1).to(torch.int32).numpy()
        numbers: dict[bytes, int] = {}
        row_of = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in every_row])
        _, firsts = np.unique(row_of, return_index=True)
        return cls(every_row[firsts], row_of)

    @property
    def total(self) -> int:
        """Operations of a frame without zeros."""
        return int(self.rows.sum(axis=1, dtype=np.int64)[self.row_of].sum())

    def count(self, values: Tensor) -> int:
        """The operations that ``values`` [C, H, W] cause where they are not zero."""
        rows = values.permute(1, 2, 0).flatten(1).numpy()
        return int(_count_operations(rows, self.rows, self.row_of))


@numba.njit(cache=True, nogil=True)
def _count_operations(values, rows, row_of):  # type: ignore[no-untyped-def]
    n_operations = 0
    for row in range(len(values)):
        own = rows[row_of[row]]
        for i in range(len(own)):
            n_operations += own[i] if values[row, i] != 0 else 0
    return n_operations
