"""The summary every rendering shows: one row a method, and what its columns mean."""

from dataclasses import dataclass

from ann2sdnn.eval.results.schema import AnnResult, EvaluationReport


@dataclass(frozen=True)
class SummaryRow:
    """One method; None where a number does not exist for it."""

    method: str
    meaning: str
    error_px: float | None = None
    error_mm: float | None = None
    moved_px: float | None = None
    events_per_frame: float | None = None
    synops_per_frame: float | None = None
    fraction_of_dense: float | None = None


def summary_rows(report: EvaluationReport) -> tuple[SummaryRow, ...]:
    """The mean pose, then the four rows of every comparison, as far as they were measured."""
    rows = [_mean_pose_row(report)]
    if report.ann is not None:
        rows += _ann_rows(report.ann)
    dense = None if report.ann is None else report.ann.macs_per_frame
    memoryless, sdnn = report.memoryless, report.sdnn
    if memoryless is not None:
        rows.append(
            SummaryRow(
                method="Memoryless SDNN",
                meaning="The converted network with the same thresholds, but it forgets everything "
                "before every frame: what thresholds alone save.",
                error_px=memoryless.mpjpe_px,
                error_mm=memoryless.mpjpe_mm,
                moved_px=memoryless.displacement_px_mean,
                events_per_frame=memoryless.events_per_frame,
                synops_per_frame=memoryless.synops_per_frame,
                fraction_of_dense=_fraction(memoryless.synops_per_frame, dense),
            )
        )
    if sdnn is not None:
        moved = None if report.comparison is None else report.comparison.displacement_px_mean
        rows.append(
            SummaryRow(
                method="SDNN",
                meaning="The converted network: a neuron sends a message only when its value has "
                "changed by at least its threshold since it last sent one.",
                error_px=sdnn.mpjpe_px,
                error_mm=sdnn.mpjpe_mm,
                moved_px=moved,
                events_per_frame=sdnn.events_per_frame,
                synops_per_frame=sdnn.synops_per_frame,
                fraction_of_dense=_fraction(sdnn.synops_per_frame, dense),
            )
        )
    return tuple(rows)


def conclusions(report: EvaluationReport) -> tuple[str, ...]:
    """The result in sentences; empty where ANN and SDNN were not both run."""
    comparison = report.comparison
    if comparison is None:
        return ()
    sentences = []
    if comparison.displacement_px_mean is not None:
        sentences.append(
            f"The SDNN puts confident joints {comparison.displacement_px_mean:.2f} px from where "
            f"the ANN puts them (median {comparison.displacement_px_median:.2f} px)."
        )
    references = (
        ("the dense ANN", comparison.synops_reduction_vs_dense),
        ("the ANN skipping zeros", comparison.synops_reduction_vs_nonzero),
        ("the memoryless network", comparison.synops_reduction_vs_memoryless),
    )
    # A factor of zero says that the reference did nothing: there is nothing to compare with.
    compared = [f"{_times(factor)} {name}" for name, factor in references if factor]
    if compared:
        sentences.append(f"It needs {', '.join(compared)}.")
    return tuple(sentences)


def _mean_pose_row(report: EvaluationReport) -> SummaryRow:
    whose = {"train": "of the training recordings", "evaluated": "of these same recordings"}
    return SummaryRow(
        method="Always the mean pose",
        meaning="Looks at no picture and always answers the mean pose "
        f"{whose[report.baseline_mean_pose_from]}: a network has to beat this.",
        error_px=report.baseline_mean_pose_px,
        error_mm=report.baseline_mean_pose_mm,
    )


def _ann_rows(ann: AnnResult) -> list[SummaryRow]:
    dense = SummaryRow(
        method="ANN (dense)",
        meaning="The original network, every multiplication by a non-zero weight done.",
        error_px=ann.mpjpe_px,
        error_mm=ann.mpjpe_mm,
        synops_per_frame=ann.macs_per_frame,
        fraction_of_dense=1.0,
    )
    skipping = SummaryRow(
        method="ANN, skipping zeros",
        meaning="The same network and the same answers, but multiplications by a zero activation "
        "are left out: what its ReLUs save anyway.",
        error_px=ann.mpjpe_px,
        error_mm=ann.mpjpe_mm,
        moved_px=0.0,
        events_per_frame=ann.nonzero_activations_per_frame,
        synops_per_frame=ann.nonzero_macs_per_frame,
        fraction_of_dense=_fraction(ann.nonzero_macs_per_frame, ann.macs_per_frame),
    )
    return [dense, skipping]


def _fraction(count: float, dense: float | None) -> float | None:
    return count / dense if dense else None


def _times(factor: float) -> str:
    """A factor in words; the operations of the reference over those of the SDNN."""
    if "1" in (_two_digits(factor), _two_digits(1 / factor)):
        return "about as many operations as"
    if factor >= 1:
        return f"{_two_digits(factor)} times fewer operations than"
    return f"{_two_digits(1 / factor)} times more operations than"


def _two_digits(factor: float) -> str:
    return f"{factor:.0f}" if factor >= 9.95 else f"{factor:.2g}"
