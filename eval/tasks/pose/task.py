"""The pose task: outputs are heat maps of joints, scored against the joints of the labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ann2sdnn.data.sources.frames import Frames
    from ann2sdnn.eval.tasks.task import Evaluated, Scores
    from ann2sdnn.sdnn.spec.spec import Spec


class PoseTask:
    """Networks whose output is one heat map per joint, in the frames' size."""

    def recognises(self, spec: "Spec", sequences: "Sequence[Frames]") -> bool:
        """Whether outputs are one map per joint, and the poses of all sequences are known."""
        from ann2sdnn.data.pose.heatmaps import are_heatmaps
        from ann2sdnn.data.sources.frames import PoseFrames

        return are_heatmaps(spec.output_shape, sequences[0].shape) and all(
            isinstance(frames, PoseFrames) for frames in sequences
        )

    def scores(self, spec: "Spec", evaluated: "Evaluated") -> "Scores":
        """Empty scores; see ``Task``."""
        from ann2sdnn.eval.tasks.pose.scores import pose_scores

        return pose_scores(spec, evaluated)
