"""Real runs of a spec on a few frames: what it costs and how far its joints lie from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """A spec on the frames of a ``TrialBench``.

    ``events`` [L + 1] and ``operations`` [L] a frame, the input's first, without the first frame
    of every run. ``ann_px``: mean displacement of the joints against the ANN; ``added_px``: against
    the same spec with thresholds of 0; ``added_error``: relative error of the maps against the
    same. Displacements are over the ``n_joints`` joints of which the ANN is confident (None: not
    counted); where there is none they are 0 and say nothing.
    """

    events: FloatArray
    operations: FloatArray
    ann_px: float
    added_px: float
    added_error: float
    n_joints: int | None = None

    @property
    def total_operations(self) -> float:
        """Synaptic operations a frame."""
        return float(self.operations.sum())


class TrialBench:
    """Runs specs that differ in thresholds and memory on the same frames."""

    def __init__(
        self, graph: Graph, spec: Spec, runs: Sequence[Frames], task: Task | None = None
    ) -> None:
        """Runs the ANN and ``spec``, whose thresholds should be 0: what others are compared with.

        ``task`` is advanced by every frame of every run to come, too.
        """
        self._runs = runs
        self._task = task
        self.n_frames = sum(run.n_frames for run in runs)
        ann = FloatNetwork(graph)
        self._ann_pixels: list[NDArray[np.int64]] = []
        self._confidence: list[NDArray[np.float32]] = []
        self._pixels: list[NDArray[np.int64]] = []
        self._maps: list[_Packed] = []
        for run in runs:
            for chunk in run.chunks():
                frames = torch.from_numpy(chunk)
                pixels, confidence = decode_heatmaps(ann(ann.encode(frames)))
                self._ann_pixels.append(pixels)
                self._confidence.append(confidence)
        self.base = self._play(spec, is_base=True)
        # Energy a frame of the maps with thresholds of 0, in the network's units.
        self.output_energy = sum(_energy(maps.unpacked()) for maps in self._maps) / self.n_frames

    @property
    def n_joints(self) -> int:
        """Joints of which the ANN is confident."""
        return sum(int((one > MIN_CONFIDENCE).sum()) for one in self._confidence)

    def run(self, spec: Spec) -> Trial:
        """Run ``spec``; it forgets between runs."""
        return self._play(spec, is_base=False)

    def _play(self, spec: Spec, *, is_base: bool) -> Trial:
        engine = Engine(network_from_spec(spec))
        n_layers = len(spec.layers)
        events, operations, counted = np.zeros(n_layers + 1), np.zeros(n_layers), 0
        to_ann, to_base, error, position = [], [], 0.0, 0
        for run in self._runs:
            engine.reset()
            for frames, skip in counted_chunks(run):
                result = engine.run(frames)
                events += result.events[skip:].sum(dim=0).numpy()
                operations += result.synops[skip:].sum(dim=0).numpy()
                counted += len(frames) - skip
                pixels, _ = decode_heatmaps(result.outputs)
                if is_base:
                    self._pixels.append(pixels)
                    self._maps.append(_Packed.of(result.outputs))
                else:
                    kept = self._maps[position]
                    # What packing lost is no error of this spec's.
                    error += _energy(result.outputs - kept.unpacked()) - kept.lost
                confidence = self._confidence[position]
                to_ann.append(displacement_px(self._ann_pixels[position], pixels, confidence))
                to_base.append(displacement_px(self._pixels[position], pixels, confidence))
                position += 1
                if self._task is not None:
                    self._task.advance(len(frames))
        return Trial(
            events=events / counted,
            operations=operations / counted,
            ann_px=_mean(to_ann),
            added_px=_mean(to_base),
            added_error=float(np.sqrt(error / (self.output_energy * self.n_frames)))
            if error > 0
            else 0.0,
            n_joints=self.n_joints,
        )


@dataclass(frozen=True, eq=False)
class _Packed:
    """Maps in half precision: its error is a hundredth of those that matter, at half the memory.

    ``lost``: the energy of that error.
    """

    peak: float
    values: Tensor
    lost: float

    @classmethod
    def of(cls, maps: Tensor) -> "_Packed":
        peak = float(maps.abs().max()) or 1.0
        values = (maps / peak).half()
        return cls(peak, values, _energy(maps - values.float() * peak))

    def unpacked(self) -> Tensor:
        return self.values.float() * self.peak


def _energy(values: Tensor) -> float:
    return float(values.square().sum(dtype=torch.float64))


def _mean(displacements: Sequence[NDArray[np.float32]]) -> float:
    values = np.concatenate([one[np.isfinite(one)] for one in displacements])
    return float(values.mean(dtype=np.float64)) if values.size else 0.0
