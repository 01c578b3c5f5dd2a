"""The labels of a sequence as one task needs them: a class, or values, for each frame."""

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import LabelledFrames, Targets
from ann2sdnn.support.errors import DataError


def classes_of(frames: Frames, n_classes: int) -> NDArray[np.int64]:
    """The class [n] of each frame; DataError for other labels and classes beyond the outputs."""
    targets = _targets(frames, "one class number per frame", "classify")
    if targets.dtype.kind not in "iu" or targets.ndim != 1:
        raise DataError(
            f"{frames.name}: labels are {targets.dtype} {list(targets.shape)}; expected whole"
            " numbers [n], a class for each frame, or another --task"
        )
    classes = targets.astype(np.int64)
    if classes.size and not 0 <= int(classes.min()) <= int(classes.max()) < n_classes:
        raise DataError(
            f"{frames.name}: classes are {int(classes.min())} to {int(classes.max())}, and the"
            f" network has {n_classes} outputs; expected classes from 0 to {n_classes - 1}"
        )
    return classes


def values_of(frames: Frames, n_outputs: int) -> NDArray[np.float32]:
    """The values [n, K] of each frame, NaN where unknown; DataError for labels of another form."""
    targets = _targets(frames, "values for each frame", "regress")
    if targets.shape != (frames.n_frames, n_outputs):
        raise DataError(
            f"{frames.name}: labels are {targets.dtype} {list(targets.shape)}, and the network has"
            f" {n_outputs} outputs; expected [{frames.n_frames}, {n_outputs}], or --task output"
        )
    return targets.astype(np.float32)


def _targets(frames: Frames, what: str, task: str) -> Targets:
    if not isinstance(frames, LabelledFrames):
        raise DataError(
            f"{frames.name} has no labels, and the task {task} needs {what}; choose --task output,"
            " which needs none"
        )
    targets = frames.targets()
    if len(targets) != frames.n_frames:
        raise DataError(
            f"{frames.name} has {frames.n_frames} frames and {len(targets)} labels; expected one"
            " label per frame"
        )
    return targets
