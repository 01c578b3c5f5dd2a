"""Everything that is measured on the float network before scales are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ann2sdnn.calibration.measure.parts import observe_in_parts
from ann2sdnn.calibration.measure.sensitivity import Sensitivity, measure_sensitivity
from ann2sdnn.calibration.measure.statistics import (
    LayerPeaks,
    Statistics,
    observe_here,
    observed_start,
    statistics_of,
)
from ann2sdnn.data.sources.frames import Frames, beginnings, hold_out, sample_frames
from ann2sdnn.data.sources.varied import VariedFrames, varied
from ann2sdnn.graph.layers import Graph
from ann2sdnn.support.progress import SILENT, Reporter

_PROBED = 32  # frames that sensitivities are measured on
_VARIED_RUNS, _VARIED_FRAMES = 16, 3  # sequences whose beginnings are varied, and frames of each


@dataclass(frozen=True, eq=False)
class Evidence:
    """What scales are chosen from. ``held_out``: statistics of held-out sequences, or None.
    ``varied``: of varied copies of some frames, whose ranges count too, or None.
    """

    graph: Graph
    statistics: Statistics
    held_out: Statistics | None
    sensitivity: Sensitivity
    varied: Statistics | None = None

    @property
    def peaks(self) -> tuple[LayerPeaks, ...]:
        """The largest magnitudes of every layer over all frames and varied copies, and expected."""
        own = tuple(layer.peaks for layer in self.statistics.layers)
        if self.varied is None:
            return own
        others = (layer.seen for layer in self.varied.layers)
        return tuple(one.larger(other) for one, other in zip(own, others, strict=True))

    @property
    def all_measured(self) -> tuple[Statistics, ...]:
        """The statistics of all frames, and of varied copies."""
        return (*self.measured, *(() if self.varied is None else (self.varied,)))

    @property
    def measured(self) -> tuple[Statistics, ...]:
        """The statistics of all frames as they are."""
        return (self.statistics, *(() if self.held_out is None else (self.held_out,)))


def gather_evidence(
    graph: Graph, frames: Sequence[Frames], reporter: Reporter = SILENT, *, workers: int = 1
) -> Evidence:
    """Measure ``graph`` on ``frames``; see ``measure`` for the errors that it raises.

    ``workers``: processes that the sequences are shared among, which changes no value.
    """
    fitted, held_out = split_frames(frames)
    groups = (fitted, held_out, varied_pieces(graph, fitted))
    if workers > 1:
        seen = observe_in_parts(graph, groups, workers, reporter)
    else:
        waiting = observed_start(graph, reporter)
        seen = [observe_here(graph, group, waiting, reporter) for group in groups]
    own, apart, varied_too = seen
    return Evidence(
        graph=graph,
        statistics=statistics_of(graph, own),
        held_out=statistics_of(graph, apart, may_be_silent=True) if held_out else None,
        sensitivity=measure_sensitivity(
            graph, mixed_sample(graph, fitted, _PROBED), reporter=reporter
        ),
        varied=statistics_of(graph, varied_too, may_be_silent=True),
    )


def varied_pieces(graph: Graph, fitted: Sequence[Frames]) -> tuple[VariedFrames, ...]:
    """Varied copies of the beginnings of some sequences: float32 values around the mean that the
    network subtracts, pixels around 0.
    """
    own, centre = graph.preprocessing, tuple[float, ...]()
    if own.dtype != "uint8":
        centre = tuple(mean / graph.input_scale for mean in own.mean)
    return varied(beginnings(fitted, _VARIED_RUNS, _VARIED_FRAMES), centre)


def mixed_sample(graph: Graph, fitted: Sequence[Frames], n_frames: int) -> list[Tensor]:
    """At most ``n_frames`` single frames [C, H, W], a third of them varied."""
    n_varied = n_frames // 3
    own = sample_frames(fitted, n_frames - n_varied)
    return own + sample_frames(varied_pieces(graph, fitted), min(n_varied, len(own)))


def split_frames(frames: Sequence[Frames]) -> tuple[tuple[Frames, ...], tuple[Frames, ...]]:
    """Frames to calibrate on, and held-out ones: every fifth recording, of at least four."""
    return hold_out(frames, first=2, every=5, fewest=4)
