"""What a reader of the numbers has to be told, in sentences."""

from collections.abc import Iterator

from ann2sdnn.eval.results.schema import AnnResult, Comparison, MemorylessResult, SdnnResult

# An SDNN this far from its ANN no longer answers the same question (a hand is about 10 px wide).
LARGE_DISPLACEMENT_PX = 3.0
LARGE_MOVED_FRACTION = 0.1


def findings(
    ann: AnnResult | None,
    sdnn: SdnnResult | None,
    memoryless: MemorylessResult | None,
    comparison: Comparison | None,
    baseline_px: float | None,
) -> tuple[str, ...]:
    """Warnings about an evaluation, most serious first."""
    found: list[str] = []
    if sdnn is not None:
        found += _range_findings(sdnn)
    if comparison is not None:
        found += _displacement_findings(comparison)
    if sdnn is not None and sdnn.counts_of == "lowered":
        found.append(
            "lava-nc runs the lowered network, so the SDNN's messages and operations are those of "
            "its layers, each with the layer it comes from (pooling is a tree of layers there); "
            "the memoryless network and the ANN are counted as they are."
        )
    if sdnn is not None and memoryless is not None:
        found += _cost_findings(sdnn, memoryless, ann)
    if ann is not None:
        found += _accuracy_findings(ann, baseline_px)
    return tuple(found)


def _range_findings(sdnn: SdnnResult) -> Iterator[str]:
    if sdnn.overflows:
        yield (
            f"{sdnn.overflows:,} neuron states left their 24 bits and wrapped round; "
            "the SDNN's answers cannot be trusted, convert again with data like this."
        )
    if sdnn.oversized_messages:
        yield (
            f"{sdnn.oversized_messages:,} messages do not fit 16 bits; "
            "this simulation let them pass, a chip would not."
        )


def _displacement_findings(comparison: Comparison) -> Iterator[str]:
    moved, fraction = comparison.displacement_px_mean, comparison.moved_over_5px
    if moved is None or fraction is None:
        yield (
            "The ANN is not confident of a single joint, so how far the SDNN moves joints "
            "cannot be said."
        )
    elif moved > LARGE_DISPLACEMENT_PX or fraction > LARGE_MOVED_FRACTION:
        yield (
            f"The SDNN moves confident joints by {moved:.1f} px on average and {fraction:.0%} of "
            "them by more than 5 px; it is not the same network any more."
        )


def _cost_findings(
    sdnn: SdnnResult, memoryless: MemorylessResult, ann: AnnResult | None
) -> Iterator[str]:
    synops = sdnn.synops_per_frame
    if synops > memoryless.synops_per_frame:
        yield (
            f"The SDNN loses to the memoryless network: {_millions(synops)} operations a frame "
            f"against {_millions(memoryless.synops_per_frame)}; remembering the last frame costs "
            "more than it saves on these recordings."
        )
    if ann is not None and synops > ann.nonzero_macs_per_frame:
        yield (
            f"The SDNN loses to the ANN that skips zeros: {_millions(synops)} operations a frame "
            f"against {_millions(ann.nonzero_macs_per_frame)}."
        )


def _accuracy_findings(ann: AnnResult, baseline_px: float | None) -> Iterator[str]:
    if ann.mpjpe_px is not None and baseline_px is not None and ann.mpjpe_px >= baseline_px:
        yield (
            f"The ANN ({ann.mpjpe_px:.1f} px) is no better than always guessing the mean pose "
            f"({baseline_px:.1f} px), so errors here say little about the conversion."
        )


def _millions(count: float) -> str:
    return f"{count / 1e6:.3g} M"
