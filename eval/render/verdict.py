"""The verdict on an evaluation, from its sustained figures."""

from ann2sdnn.convert.render.verdict import Comparable, verdict
from ann2sdnn.eval.render.views import view_of
from ann2sdnn.eval.results.findings import is_far
from ann2sdnn.eval.results.schema import EvaluationReport, MixedResult, SdnnResult
from ann2sdnn.support.terminal import counted


def comparable_of(report: EvaluationReport) -> Comparable | None:
    """Operations of the networks; None unless ANN and SDNN were run."""
    ann, sdnn, memoryless, mixed = report.ann, report.sdnn, report.memoryless, report.mixed
    if ann is None or sdnn is None or memoryless is None:
        return None
    nonzero = memoryless.sustained_input_events_per_frame
    return Comparable(
        dense=ann.all_macs_per_frame,
        skipping=ann.sustained_nonzero_macs_per_frame,
        memoryless=memoryless.sustained_synops_per_frame,
        lava=sdnn.sustained_synops_per_frame,
        mixed=None if mixed is None else mixed.sustained_synops_per_frame,
        changed_pixels=sdnn.sustained_input_events_per_frame / nonzero if nonzero else None,
        has_memoryless_point=memoryless.from_point == "memoryless",
    )


def verdict_of(report: EvaluationReport) -> tuple[str, ...]:
    """One sentence; none unless ANN and SDNN were run."""
    comparable = comparable_of(report)
    if comparable is None:
        return ()
    best = report.mixed if comparable.best == "mixed" else report.sdnn
    where = f"On {counted(report.frames, 'frame')}"
    return (verdict(comparable, where, _error(report, best)),)


def _error(report: EvaluationReport, best: SdnnResult | None) -> str | None:
    compared = best if isinstance(best, MixedResult) else report.comparison
    if best is None or compared is None:
        return None
    distance = view_of(report).words(report, best, compared)
    if distance is not None and is_far(compared):
        return f"but it is not the same network any more, {distance}"
    return distance
