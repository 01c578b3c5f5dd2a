"""Warnings of an evaluation.

Each rule reads the results and yields a sentence for each thing that a reader must know.
"""

from collections.abc import Callable, Iterator

from ann2sdnn.eval.results.schema import EvaluationResults

# An SDNN this far from its ANN no longer computes the same (a hand is about 10 px wide).
_LARGE_DISPLACEMENT_PX = 3.0
_LARGE_MOVED_FRACTION = 0.1


def findings(results: EvaluationResults) -> tuple[str, ...]:
    """Warnings about an evaluation, most serious first."""
    return tuple(sentence for rule in RULES for sentence in rule(results))


def _out_of_range(results: EvaluationResults) -> Iterator[str]:
    sdnn = results.sdnn
    if sdnn is not None and sdnn.overflows:
        yield (
            f"{sdnn.overflows:,} neuron states left their 24 bits and wrapped;"
            " the SDNN's outputs cannot be trusted, convert again with data like this."
        )
    if sdnn is not None and sdnn.oversized_messages:
        yield (
            f"{sdnn.oversized_messages:,} messages do not fit 16 bits;"
            " this simulation let them pass, a chip would not."
        )


def _displaced(results: EvaluationResults) -> Iterator[str]:
    comparison = results.comparison
    if comparison is None:
        return
    moved, fraction = comparison.displacement_px_mean, comparison.moved_over_5px
    if moved is None or fraction is None:
        yield (
            "The ANN is not confident of a single joint, so the displacement of joints is unknown."
        )
    elif moved > _LARGE_DISPLACEMENT_PX or fraction > _LARGE_MOVED_FRACTION:
        yield (
            f"The SDNN moves confident joints by {moved:.1f} px on average and {fraction:.0%} of"
            " them by more than 5 px; it is not the same network any more."
        )


def _counts_of_lowered(results: EvaluationResults) -> Iterator[str]:
    if results.sdnn is not None and results.sdnn.counts_of == "lowered":
        yield (
            "lava-nc runs the lowered network, so the SDNN's messages and operations are those of"
            " its layers, each added to the layer it comes from (pooling is a tree of layers"
            " there); the memoryless network and the ANN are counted as they are."
        )


def _loses(results: EvaluationResults) -> Iterator[str]:
    ann, sdnn, memoryless = results.ann, results.sdnn, results.memoryless
    if sdnn is None or memoryless is None:
        return
    synops = sdnn.synops_per_frame
    if synops > memoryless.synops_per_frame:
        yield (
            f"The SDNN loses to the memoryless network: {_millions(synops)} operations per frame"
            f" against {_millions(memoryless.synops_per_frame)}; on these recordings the state"
            " costs more than it saves."
        )
    if ann is not None and synops > ann.nonzero_macs_per_frame:
        yield (
            f"The SDNN loses to the ANN that skips zeros: {_millions(synops)} operations per frame"
            f" against {_millions(ann.nonzero_macs_per_frame)}."
        )


def _no_better_than_guessing(results: EvaluationResults) -> Iterator[str]:
    ann, baseline_px = results.ann, results.baseline_mean_pose_px
    if ann is None or ann.mpjpe_px is None or baseline_px is None:
        return
    if ann.mpjpe_px >= baseline_px:
        yield (
            f"The ANN ({ann.mpjpe_px:.1f} px) is no better than always guessing the mean pose"
            f" ({baseline_px:.1f} px), so errors here say little about the conversion."
        )


def _millions(count: float) -> str:
    return f"{count / 1e6:.3g} M"


RULES: tuple[Callable[[EvaluationResults], Iterator[str]], ...] = (
    _out_of_range,
    _displaced,
    _counts_of_lowered,
    _loses,
    _no_better_than_guessing,
)
