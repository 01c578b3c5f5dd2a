"""The result of an evaluation in sentences."""

from ann2sdnn.eval.results.schema import EvaluationReport


def conclusions(report: EvaluationReport) -> tuple[str, ...]:
    """Displacement and operations against the ANN; empty where ANN or SDNN was not run."""
    comparison = report.comparison
    if comparison is None:
        return ()
    sentences = []
    if comparison.displacement_px_mean is not None:
        sentences.append(
            f"The SDNN displaces confident joints by {comparison.displacement_px_mean:.2f} px"
            f" against the ANN (median {comparison.displacement_px_median:.2f} px)."
        )
    references = (
        ("the dense ANN", comparison.synops_reduction_vs_dense),
        ("the ANN skipping zeros", comparison.synops_reduction_vs_nonzero),
        ("the memoryless network", comparison.synops_reduction_vs_memoryless),
    )
    # A factor of zero: the reference did nothing.
    compared = [f"{_times(factor)} {name}" for name, factor in references if factor]
    if compared:
        sentences.append(f"It needs {', '.join(compared)}.")
    return tuple(sentences)


def _times(factor: float) -> str:
    """``factor``, operations of a reference over those of the SDNN, in words."""
    if "1" in (_two_digits(factor), _two_digits(1 / factor)):
        return "about as many operations as"
    if factor >= 1:
        return f"{_two_digits(factor)} times fewer operations than"
    return f"{_two_digits(1 / factor)} times more operations than"


def _two_digits(factor: float) -> str:
    return f"{factor:.0f}" if factor >= 9.95 else f"{factor:.2g}"
