"""Runs candidate specs on a few frames; measures operations and displacements.

Displacements are taken against the ANN and against the same spec without thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.displacement import MIN_CONFIDENCE, displacement_px
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.sources.frames import Frames, counted_chunks
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import Task

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trial:
    """A spec on the ``n_frames`` frames of a ``TrialBench``.

    ``events`` [L + 1] (the input's first) and ``operations`` [L]: per frame, without the first
    frame of every run. ``ann_px``: mean displacement of joints against the ANN; ``added_px``:
    against the same spec with thresholds of 0; ``added_error``: relative error of the output
    against the same. Displacements are over the ``n_joints`` joints of which the ANN is confident,
    0 px where there is none.
    """

    events: FloatArray
    operations: FloatArray
    ann_px: float
    added_px: float
    added_error: float
    n_joints: int
    n_frames: int

    @property
    def total_operations(self) -> float:
        """Operations per frame."""
        return float(self.operations.sum())

    def displacement_px(self, against: Literal["ann", "added"]) -> float:
        """``ann_px`` or ``added_px``."""
        return self.ann_px if against == "ann" else self.added_px


class TrialBench:
    """Runs specs that differ in thresholds and memory on the same frames.

    ``base``: the trial of the spec without thresholds. ``output_energy``: energy per frame of its
    output, in the network's units.
    """

    def __init__(
        self, graph: Graph, spec: Spec, runs: Sequence[Frames], task: Task | None = None
    ) -> None:
        """Runs the ANN and ``spec``, whose thresholds should be 0: the references of later trials.

        ``task`` is advanced by every frame of every trial.
        """
        self._runs, self._task = runs, task
        self._n_frames = sum(run.n_frames for run in runs)
        ann = FloatNetwork(graph)
        # Of every chunk: joints and confidence of the ANN, joints and output of the base.
        self._ann = [
            decode_heatmaps(ann(ann.encode(frames)))
            for run in runs
            for frames, _ in counted_chunks(run)
        ]
        self._base: list[tuple[NDArray[np.int64], _Packed]] = []
        self.base = self.run(spec)
        energy = sum(_energy(output.unpacked()) for _, output in self._base)
        self.output_energy = energy / self._n_frames

    def run(self, spec: Spec) -> Trial:
        """Run ``spec``; its state is reset before every run of frames."""
        engine = Engine(network_from_spec(spec))
        n_layers = len(spec.layers)
        events, operations, n_counted = np.zeros(n_layers + 1), np.zeros(n_layers), 0
        to_ann, to_base, error, position = [], [], 0.0, 0
        for run in self._runs:
            engine.reset()
            for frames, skip in counted_chunks(run):
                result = engine.run(frames)
                events += result.events[skip:].sum(dim=0).numpy()
                operations += result.synops[skip:].sum(dim=0).numpy()
                n_counted += len(frames) - skip
                pixels, _ = decode_heatmaps(result.outputs)
                if position == len(self._base):  # this is the base
                    self._base.append((pixels, _Packed.of(result.outputs)))
                else:
                    output = self._base[position][1]
                    # The error of packing is not this spec's.
                    error += _energy(result.outputs - output.unpacked()) - output.lost
                ann_pixels, confidence = self._ann[position]
                to_ann.append(displacement_px(ann_pixels, pixels, confidence))
                to_base.append(displacement_px(self._base[position][0], pixels, confidence))
                position += 1
                if self._task is not None:
                    self._task.advance(len(frames))
        return Trial(
            events=events / n_counted,
            operations=operations / n_counted,
            ann_px=_mean(to_ann),
            added_px=_mean(to_base),
            added_error=float(np.sqrt(error / (self.output_energy * self._n_frames)))
            if error > 0
            else 0.0,
            n_joints=sum(int((x > MIN_CONFIDENCE).sum()) for _, x in self._ann),
            n_frames=self._n_frames,
        )


@dataclass(frozen=True, eq=False)
class _Packed:
    """An output in half precision: half the memory, at 1% of the errors that matter.

    ``lost``: the energy of the error of packing.
    """

    peak: float
    values: Tensor
    lost: float

    @classmethod
    def of(cls, output: Tensor) -> "_Packed":
        peak = float(output.abs().max()) or 1.0
        values = (output / peak).half()
        return cls(peak, values, _energy(output - values.float() * peak))

    def unpacked(self) -> Tensor:
        return self.values.float() * self.peak


def _energy(values: Tensor) -> float:
    return float(values.square().sum(dtype=torch.float64))


def _mean(displacements: Sequence[NDArray[np.float32]]) -> float:
    values = np.concatenate([x[np.isfinite(x)] for x in displacements])
    return float(values.mean(dtype=np.float64)) if values.size else 0.0
