"""Warnings of an evaluation.

Each rule reads the results and yields a sentence for each thing that a reader must know. Which
network needs the fewest operations is said by the verdict (``convert.render.verdict``).
"""

from collections.abc import Callable, Iterator

from ann2sdnn.eval.results.schema import Displacement, EvaluationResults

# An SDNN this far from its ANN no longer computes the same (a hand is about 10 px wide).
_LARGE_DISPLACEMENT_PX = 3.0
_LARGE_MOVED_FRACTION = 0.1
_LARGE_CLASS_CHANGED = 0.1
_LARGE_RELATIVE_ERROR = 0.3

_ENGINES_POINT = " in the operating point for the engine"


def findings(results: EvaluationResults) -> tuple[str, ...]:
    """Warnings about an evaluation, most serious first."""
    return tuple(sentence for rule in RULES for sentence in rule(results))


def is_far(displacement: Displacement) -> bool:
    """Whether outputs are so far from the ANN's that the network no longer computes the same.

    Joints decide where there are any, then classes, then the relative error.
    """
    moved, fraction = displacement.displacement_px_mean, displacement.moved_over_5px
    if moved is None and fraction is None and displacement.heatmap_relative_error is None:
        if displacement.class_changed is not None:
            return displacement.class_changed > _LARGE_CLASS_CHANGED
        error = displacement.output_relative_error
        return error is not None and error > _LARGE_RELATIVE_ERROR
    return (moved is not None and moved > _LARGE_DISPLACEMENT_PX) or (
        fraction is not None and fraction > _LARGE_MOVED_FRACTION
    )


def _out_of_range(results: EvaluationResults) -> Iterator[str]:
    for sdnn in (results.sdnn, results.mixed):
        where = _ENGINES_POINT if sdnn is results.mixed else ""
        if sdnn is not None and sdnn.overflows:
            yield (
                f"{sdnn.overflows:,} neuron states left their 24 bits and wrapped{where};"
                " the SDNN's outputs cannot be trusted, convert again with data like this."
            )
        if sdnn is not None and sdnn.oversized_messages:
            yield (
                f"{sdnn.oversized_messages:,} messages do not fit 16 bits{where};"
                " this simulation let them pass, a chip would not."
            )


def _displaced(results: EvaluationResults) -> Iterator[str]:
    comparison = results.comparison
    if comparison is None:
        return
    if comparison.displacement_px_mean is None and results.task == "pose":
        yield (
            "The ANN is not confident of a single joint, so the displacement of joints is unknown."
        )
    for displacement in (comparison, results.mixed):
        if displacement is not None and is_far(displacement):
            where = _ENGINES_POINT if displacement is results.mixed else ""
            yield f"The SDNN {_far(displacement)}{where}; it is not the same network any more."


def _far(displacement: Displacement) -> str:
    """What the SDNN does that is so far from the ANN."""
    if displacement.displacement_px_mean is not None:
        return (
            f"moves confident joints by {displacement.displacement_px_mean:.1f} px on average and"
            f" {displacement.moved_over_5px or 0:.0%} of them by more than 5 px"
        )
    if displacement.class_changed is not None:
        return f"changes the class of {displacement.class_changed:.0%} of the frames"
    return f"differs from the ANN's outputs by {displacement.output_relative_error:.0%}"


def _counts_of_lowered(results: EvaluationResults) -> Iterator[str]:
    if results.sdnn is not None and results.sdnn.counts_of == "lowered":
        yield (
            "lava-nc runs the lowered network, so the SDNN's messages and operations are those of"
            " its layers, each added to the layer it comes from (pooling is a tree of layers"
            " there, and what passes a layer of a network with branches counts with it); the"
            " memoryless network and the ANN are counted as they are."
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


RULES: tuple[Callable[[EvaluationResults], Iterator[str]], ...] = (
    _out_of_range,
    _displaced,
    _counts_of_lowered,
    _no_better_than_guessing,
)
