"""The classify task: the largest output is the class of a frame."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ann2sdnn.data.sources.frames import Frames
    from ann2sdnn.eval.tasks.task import Evaluated, Scores
    from ann2sdnn.sdnn.spec.spec import Spec


class ClassifyTask:
    """Networks with one output of one pixel per class, and frames with a class each."""

    def recognises(self, spec: "Spec", sequences: "Sequence[Frames]") -> bool:
        """Whether the outputs can be classes and all sequences have whole numbers as labels."""
        from ann2sdnn.calibration.thresholds.deviation import are_classes
        from ann2sdnn.data.sources.labels import kind_of_targets

        return are_classes(spec.output_shapes) and kind_of_targets(sequences) == "classes"

    def scores(self, spec: "Spec", evaluated: "Evaluated") -> "Scores":
        """Empty scores; see ``Task``."""
        from ann2sdnn.eval.tasks.classify.scores import classify_scores

        return classify_scores(spec, evaluated)
