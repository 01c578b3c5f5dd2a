"""Runs candidate specs on a few frames; measures operations and how far outputs move.

Outputs are compared with the ANN's and with those of the same spec without thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.calibration.thresholds.deviation import (
    Deviation,
    DeviationMeter,
    Reference,
    confident,
    joints_of,
)
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.sources.frames import Frames, counted_chunks
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import Task

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trial:
    """A spec on the ``n_frames`` frames of a ``TrialBench``.

    ``events`` [L + 1] (the input's first) and ``operations`` [L]: per frame, without the first
    frame of every run. ``to_ann``: deviation from the ANN; ``added``: from the same spec with
    thresholds of 0.
    """

    events: FloatArray
    operations: FloatArray
    to_ann: Deviation
    added: Deviation
    n_frames: int

    @property
    def total_operations(self) -> float:
        """Operations per frame."""
        return float(self.operations.sum())

    def cost(self, message_cost: float) -> float:
        """Operations per frame, where a message is worth ``message_cost`` of them."""
        return self.total_operations + message_cost * float(self.events.sum())


class TrialBench:
    """Runs specs that differ in thresholds and memory on the same frames.

    ``base``: the trial of the spec without thresholds. ``output_energy``: energy per frame of its
    output, in the network's units. ``n_joints``: joints of which the ANN is confident.
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
        # Of every chunk.
        self._ann: list[Reference] = []
        self._base: list[Reference] = []
        self._confidence: list[NDArray[np.float32] | None] = []
        n_done = 0
        for run in runs:
            for frames, _ in counted_chunks(run):
                outputs = ann(ann.encode(frames))
                n_done += len(frames)
                self._note(f"ANN, {n_done} of {self._n_frames} frames")
                self._ann.append(Reference.of(outputs, graph.output_shapes))
                maps = outputs.shape[2:] != (1, 1)
                self._confidence.append(decode_heatmaps(outputs)[1] if maps else None)
        self.n_joints = confident(self._confidence)
        self._n_networks = 0
        self._note("the engine is compiled where it is not on disk")
        self.base = self.run(spec)
        total = sum(float(reference.energies.sum()) for reference in self._base)
        self.output_energy = total / self._n_frames

    def _note(self, text: str) -> None:
        if self._task is not None:
            self._task.advance(0, text)

    def run(self, spec: Spec) -> Trial:
        """Run ``spec``; its state is reset before every run of frames."""
        self._n_networks += 1
        engine = Engine(spec)
        n_layers = len(spec.layers)
        events, operations, n_counted = np.zeros(n_layers + 1), np.zeros(n_layers), 0
        to_ann, added, position = DeviationMeter(), DeviationMeter(), 0
        for run in self._runs:
            engine.reset()
            for frames, skip in counted_chunks(run):
                result = engine.run(frames)
                events += result.events[skip:].sum(dim=0).numpy()
                operations += result.synops[skip:].sum(dim=0).numpy()
                n_counted += len(frames) - skip
                outputs: torch.Tensor = result.outputs
                if position == len(self._base):  # this is the base
                    self._base.append(Reference.of(outputs, spec.output_shapes))
                pixels, confidence = joints_of(outputs), self._confidence[position]
                to_ann.add(run.group, outputs, pixels, self._ann[position], confidence)
                added.add(run.group, outputs, pixels, self._base[position], confidence)
                position += 1
                if self._task is not None:
                    self._task.advance(len(frames), f"network {self._n_networks}")
        return Trial(
            events=events / n_counted,
            operations=operations / n_counted,
            to_ann=to_ann.result(),
            added=added.result(),
            n_frames=self._n_frames,
        )
