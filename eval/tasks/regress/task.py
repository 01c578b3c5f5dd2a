"""The regress task: outputs are values, in the unit of the labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ann2sdnn.data.sources.frames import Frames
    from ann2sdnn.eval.tasks.task import Evaluated, Scores
    from ann2sdnn.sdnn.spec.spec import Spec


class RegressTask:
    """Networks with one pixel per output, and frames with a value for each output."""

    def recognises(self, spec: "Spec", sequences: "Sequence[Frames]") -> bool:
        """Whether outputs have one pixel and all sequences have real numbers as labels."""
        from ann2sdnn.data.sources.labels import kind_of_targets

        are_values = all(shape[1:] == (1, 1) for shape in spec.output_shapes)
        return are_values and kind_of_targets(sequences) == "values"

    def scores(self, spec: "Spec", evaluated: "Evaluated") -> "Scores":
        """Empty scores; see ``Task``."""
        from ann2sdnn.eval.tasks.regress.scores import regress_scores

        return regress_scores(spec, evaluated)
