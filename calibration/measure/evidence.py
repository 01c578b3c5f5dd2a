"""Everything that is measured on the float network before scales are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from ann2sdnn.calibration.measure.sensitivity import Sensitivity, measure_sensitivity
from ann2sdnn.calibration.measure.statistics import Statistics, measure
from ann2sdnn.data.sources.frames import Frames, hold_out, sample_frames
from ann2sdnn.graph.layers import Graph
from ann2sdnn.support.progress import SILENT, Reporter

_PROBED = 32  # frames that sensitivities are measured on


@dataclass(frozen=True, eq=False)
class Evidence:
    """What scales are chosen from. ``held_out``: statistics of held-out sequences, or None."""

    graph: Graph
    statistics: Statistics
    held_out: Statistics | None
    sensitivity: Sensitivity

    @property
    def measured(self) -> tuple[Statistics, ...]:
        """The statistics of all frames."""
        return (self.statistics, *(() if self.held_out is None else (self.held_out,)))


def gather_evidence(
    graph: Graph, frames: Sequence[Frames], reporter: Reporter = SILENT
) -> Evidence:
    """Measure ``graph`` on ``frames``; see ``measure`` for the errors that it raises."""
    fitted, held_out = split_frames(frames)
    return Evidence(
        graph=graph,
        statistics=measure(graph, fitted, reporter),
        held_out=measure(graph, held_out, reporter, may_be_silent=True) if held_out else None,
        sensitivity=measure_sensitivity(graph, sample_frames(fitted, _PROBED), reporter=reporter),
    )


def split_frames(frames: Sequence[Frames]) -> tuple[tuple[Frames, ...], tuple[Frames, ...]]:
    """Frames to calibrate on, and held-out ones: every fifth recording, of at least four."""
    return hold_out(frames, first=2, every=5, fewest=4)
