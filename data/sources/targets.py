"""Which kind of labels sequences have: classes or values."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import LabelledFrames

TargetKind: TypeAlias = Literal["classes", "values"]


def kind_of_targets(sequences: Sequence[Frames]) -> TargetKind | None:
    """The kind of the labels that all ``sequences`` have; None where one has none.

    Raises DataError for labels that cannot be read.
    """
    labelled = [frames for frames in sequences if isinstance(frames, LabelledFrames)]
    if not labelled or len(labelled) < len(sequences):
        return None
    return "classes" if labelled[0].targets().dtype.kind in "iu" else "values"
