"""The pose task: outputs are heat maps of joints, scored against the joints of the labels."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ann2sdnn.eval.tasks.task import Evaluated, Scores
    from ann2sdnn.sdnn.spec.spec import Spec


class PoseTask:
    """Networks whose output is one heat map per joint, in the frames' size."""

    def scores(self, spec: "Spec", evaluated: "Evaluated") -> "Scores":
        """Empty scores; see ``Task``."""
        from ann2sdnn.eval.tasks.pose.scores import pose_scores

        return pose_scores(spec, evaluated)
