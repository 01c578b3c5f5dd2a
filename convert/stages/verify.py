"""Runs the converted network against the ANN on the calibration frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import output_energies
from ann2sdnn.convert.report.report import Work
from ann2sdnn.convert.stages.probes import LayerProbe, LayerProbes
from ann2sdnn.data.pose.displacement import HeatmapComparison, HeatmapDifference
from ann2sdnn.data.pose.scale import PictureScale
from ann2sdnn.data.sources.frames import Frames, counted_chunks, picture_scale
from ann2sdnn.graph.counted import CountedAnn, SustainedCount
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter


@dataclass(frozen=True, eq=False)
class Verification:
    """``events_per_frame`` [L + 1] (the input's first) and ``synops_per_frame`` [L] of all frames.
    ``overflows`` [L] and ``oversized`` [L]: numbers of states and messages that left their bits.
    ``probes`` [L]: the layers in ``n_probed`` frames. ``work``: sums over layers.
    """

    difference: HeatmapDifference
    events_per_frame: NDArray[np.float64]
    synops_per_frame: NDArray[np.float64]
    overflows: NDArray[np.int64]
    oversized: NDArray[np.int64]
    probes: tuple[LayerProbe, ...]
    n_probed: int
    work: Work


class _OutputComparison:
    """Difference of the SDNN's outputs from the ANN's; of several outputs only the relative error,
    the root of the mean of the squares of theirs.
    """

    def __init__(self, graph: Graph) -> None:
        self._shapes = graph.output_shapes
        self._single = HeatmapComparison()
        self._errors, self._energies = np.zeros((2, len(self._shapes)))

    def add(self, ann: Tensor, sdnn: Tensor, scale: PictureScale) -> None:
        """Count the joined outputs [n, ...] of n frames, which were resized by ``scale``."""
        if len(self._shapes) == 1:
            self._single.add(ann, sdnn, scale)
            return
        self._errors += output_energies(sdnn - ann, self._shapes)
        self._energies += output_energies(ann, self._shapes)

    def result(self) -> HeatmapDifference:
        """The difference so far; outputs that the ANN leaves at 0 do not count."""
        if len(self._shapes) == 1:
            return self._single.result()
        has_any = self._energies > 0
        squares = self._errors[has_any] / self._energies[has_any]
        error = float(np.sqrt(squares.mean())) if squares.size else np.inf
        return HeatmapDifference(
            displacement_px_mean=None,
            displacement_px_median=None,
            moved_over_5px=None,
            heatmap_relative_error=error if np.isfinite(error) else None,
            n_joints=0,
        )


def verify(
    graph: Graph, spec: Spec, runs: Sequence[Frames], reporter: Reporter = SILENT
) -> Verification:
    """Run ANN and SDNN on the same frames; the SDNN's state is reset before every sequence."""
    ann, sdnn = CountedAnn(graph), Engine(spec)
    changed, operations = SustainedCount(), SustainedCount()
    comparison = _OutputComparison(graph)
    n_layers = len(spec.layers)
    events, synops = np.zeros(n_layers + 1), np.zeros(n_layers)
    overflows, oversized = np.zeros((2, n_layers), np.int64)
    n_frames = sum(run.n_frames for run in runs)
    probes = LayerProbes(FloatNetwork(graph), spec, n_frames)
    with reporter.task("SDNN against ANN", n_frames, "frames") as task:
        for run in runs:
            sdnn.reset()
            ann.reset()
            changed.begin()
            operations.begin()
            for frames, _ in counted_chunks(run):
                result = sdnn.run(frames)
                if probes.wants(len(frames)):
                    probes.see(frames, sdnn.sent)
                comparison.add(ann.run(frames), result.outputs, picture_scale(run))
                changed.add_frames(result.events[:, :1])
                operations.add_frames(result.synops)
                events += result.events.sum(dim=0).numpy()
                synops += result.synops.sum(dim=0).numpy()
                overflows += result.overflows.sum(dim=0).numpy()
                oversized += result.oversized.sum(dim=0).numpy()
                task.advance(len(frames))
    return Verification(
        difference=comparison.result(),
        events_per_frame=events / n_frames,
        synops_per_frame=synops / n_frames,
        overflows=overflows,
        oversized=oversized,
        probes=probes.result(),
        n_probed=probes.n_frames,
        work=Work(
            all_macs_per_frame=float(ann.dense.sum()),
            macs_per_frame=float(ann.macs.sum()),
            nonzero_macs_per_frame=ann.sustained.per_frame,
            synops_per_frame=operations.per_frame,
            first_frame_synops=operations.first_frame,
            nonzero_pixels_per_frame=float(ann.activations[0] / n_frames),
            changed_pixels_per_frame=changed.per_frame,
        ),
    )
