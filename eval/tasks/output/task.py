"""The output task: outputs of any kind, compared with the ANN's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ann2sdnn.data.sources.frames import Frames
    from ann2sdnn.eval.tasks.task import Evaluated, Scores
    from ann2sdnn.sdnn.spec.spec import Spec


class OutputTask:
    """Networks whose outputs mean anything; no labels are needed."""

    def recognises(self, spec: "Spec", sequences: "Sequence[Frames]") -> bool:
        """Always: it is the last to be asked."""
        return True

    def scores(self, spec: "Spec", evaluated: "Evaluated") -> "Scores":
        """Empty scores; see ``Task``."""
        from ann2sdnn.data.pose.heatmaps import are_heatmaps
        from ann2sdnn.eval.tasks.output.scores import OutputScores

        maps = are_heatmaps(spec.output_shape, spec.input_shape)
        return OutputScores(evaluated.networks, spec.output_shapes, heatmaps=maps)
