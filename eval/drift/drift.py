"""Drift: the output error, frame by frame, of a delta unit that loses its rounding remainder.

The lowered network, which lava-nc runs, is shown a long sequence several times: with the corrected
neuron, with the stock neuron, and with the stock neuron reset periodically. Each run is compared
with the ANN on the same frames. The engine's stock neuron equals slayer's (tested), and
`simulate --model stock` compares slayer's with lava-nc's.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import relative_errors
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.data.pose.displacement import displacement_px
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.scale import WHOLE, PictureScale
from ann2sdnn.data.sources.frames import CroppedFrames, PoseFrames, picture_scale
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.eval.drift.long_sequence import choose_sequence, long_sequence
from ann2sdnn.eval.drift.options import DriftOptions, Treatment
from ann2sdnn.eval.drift.report import DriftCurve, DriftReport, SequenceReport
from ann2sdnn.graph.cropping import cropped
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.apart import carried_apart
from ann2sdnn.sdnn.lowering.lower import LoweredSpec, lower_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter, Task


def drift(
    folder: Path, data: Path, options: DriftOptions, *, reporter: Reporter = SILENT
) -> DriftReport:
    """Measure the conversion in ``folder`` on one sequence of ``data``.

    Raises ModelError and DataError for what cannot be read, UsageError for a crop that does not
    fit, and ConversionError for a network that cannot be lowered.
    """
    conversion = open_conversion(folder)
    spec = cropped(conversion.spec, options.crop)
    graph = cropped(conversion.graph, options.crop)
    opened = open_frames(data, options.source, reporter=reporter)
    sequences = resized(opened, conversion.spec.preprocessing.resize)
    recorded = choose_sequence(sequences, options.recording)
    shown = recorded if options.crop is None else CroppedFrames(recorded, *options.crop)
    _, height, width = shown.shape
    n_frames = options.frames * len(options.treatments)
    with reporter.task("drift", n_frames, "frames") as task:
        frames = long_sequence(shown, options.frames)
        scale = picture_scale(shown)
        curves = measure(graph, spec, frames, options.treatments, task, scale=scale)
    return DriftReport(
        sequence=SequenceReport(
            recording=recorded.group,
            channel=recorded.channel if isinstance(recorded, PoseFrames) else None,
            frames=options.frames,
            recorded_frames=recorded.n_frames,
            height=height,
            width=width,
        ),
        curves=curves,
    )


def measure(
    graph: Graph,
    spec: Spec,
    chunks: Iterable[Tensor],
    treatments: Sequence[Treatment],
    task: Task,
    *,
    scale: PictureScale = WHOLE,
) -> tuple[DriftCurve, ...]:
    """One curve per treatment, all run side by side on ``chunks`` of frames [T, C, H, W].

    ``task`` counts their frames. ``scale``: of frames that were resized.
    """
    ann = FloatNetwork(graph)
    lowered = lower_spec(spec)
    runs = [_Run(lowered, treatment, graph.output_shapes, scale) for treatment in treatments]
    for frames in chunks:
        with torch.inference_mode():
            expected = ann(ann.encode(frames))
        for run in runs:
            run.add(frames, expected)
            task.advance(len(frames), note=run.treatment.name)
    return tuple(run.curve() for run in runs)


class _Run:
    """One treatment: the state of its network, and its curve so far."""

    def __init__(
        self,
        lowered: LoweredSpec,
        treatment: Treatment,
        shapes: Sequence[Shape],
        scale: PictureScale,
    ) -> None:
        self.treatment, self._shapes, self._scale = treatment, shapes, scale
        self._engine = Engine(carried_apart(lowered.spec), neuron=treatment.neuron)
        self._lowered = lowered
        self._n_frames = 0
        self._relative: list[float | None] = []
        self._moved: list[float | None] = []
        self._counts: dict[str, list[int]] = {"events": [], "synops": [], "overflows": []}

    def add(self, frames: Tensor, expected: Tensor) -> None:
        """Run ``frames`` [T, C, H, W]; ``expected`` are the ANN's maps [T, O, H', W']."""
        for part, maps in zip(self._parts(frames), self._parts(expected), strict=True):
            if self.treatment.reset_every and self._n_frames % self.treatment.reset_every == 0:
                self._engine.reset()
            run = self._engine.run(part)
            self._n_frames += len(part)
            held = run.outputs.reshape(len(part), *self._lowered.spec.output_shape)
            self._compare(maps, self._lowered.unpacking(held))
            for name, counts in self._counts.items():
                counts.extend(getattr(run, name).sum(dim=1).tolist())

    def curve(self) -> DriftCurve:
        """The curve measured."""
        return DriftCurve(
            name=self.treatment.name,
            neuron=self.treatment.neuron,
            reset_every=self.treatment.reset_every,
            heatmap_relative_error=self._relative,
            displacement_px=self._moved,
            events=self._counts["events"],
            synops=self._counts["synops"],
            overflows=self._counts["overflows"],
        )

    def _parts(self, values: Tensor) -> Iterator[Tensor]:
        """``values``, cut before each reset."""
        period = self.treatment.reset_every
        if period is None:
            yield values
            return
        done = self._n_frames
        first = min(period - done % period, len(values))
        yield values[:first]
        yield from torch.split(values[first:], period) if first < len(values) else ()

    def _compare(self, expected: Tensor, found: Tensor) -> None:
        self._relative += relative_errors(expected, found, self._shapes)
        if expected.shape[2:] == (1, 1):  # a classifier's output: nothing can be displaced
            self._moved += [None] * len(expected)
            return
        pixels, confidence = decode_heatmaps(expected)
        places, found_places = map(self._scale.to_whole, (pixels, decode_heatmaps(found)[0]))
        moved = displacement_px(places, found_places, confidence)
        self._moved += [_mean(of_frame) for of_frame in moved]


def _mean(values: NDArray[np.float32]) -> float | None:
    seen = values[np.isfinite(values)]
    return float(seen.mean()) if seen.size else None
