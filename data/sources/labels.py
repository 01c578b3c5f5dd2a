"""What is known about the frames of a sequence, for tasks that score classes or values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.sources.frames import CHUNK_FRAMES, ChangedFrames, FrameArray, Frames

Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float32]
"""Of n frames: [n] int64, the number of each frame's class, or [n, K] float32, the values that the
network is to compute, NaN where one is not known."""

TargetKind: TypeAlias = Literal["classes", "values"]


@runtime_checkable
class LabelledFrames(Frames, Protocol):
    """A sequence with a class or values for each frame."""

    def targets(self) -> Targets:
        """Those of the sequence's frames, in order. Raises DataError where they cannot be read."""


@runtime_checkable
class NamedClasses(LabelledFrames, Protocol):
    """A sequence whose classes have names."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names by number; none where they are not known."""


@dataclass(frozen=True, eq=False)
class WithTargets(ChangedFrames):
    """The frames of ``whole`` with other ``labels``: one for each."""

    labels: Targets

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[FrameArray]:
        """The frames of ``whole``."""
        return self.whole.chunks(n_frames)

    def targets(self) -> Targets:
        """The labels."""
        return self.labels

    def part(self, start: int, stop: int) -> "WithTargets":
        """Frames ``start`` to ``stop`` (excluded), with their labels."""
        return WithTargets(self.whole.part(start, stop), self.labels[start:stop])


def class_names(sequences: Sequence[Frames]) -> tuple[str, ...]:
    """The names of the classes of ``sequences`` by number; none unless all have the same."""
    names = {frames.classes if isinstance(frames, NamedClasses) else () for frames in sequences}
    return next(iter(names)) if len(names) == 1 else ()


def kind_of_targets(sequences: Sequence[Frames]) -> TargetKind | None:
    """The kind of the labels that all ``sequences`` have; None where one has none.

    Raises DataError for labels that cannot be read.
    """
    labelled = [frames for frames in sequences if isinstance(frames, LabelledFrames)]
    if not labelled or len(labelled) < len(sequences):
        return None
    return "classes" if labelled[0].targets().dtype.kind in "iu" else "values"
