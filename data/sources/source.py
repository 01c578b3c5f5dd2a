"""What a frame source offers: recognising a path, and opening it as sequences of frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.support.options.fields import CheckedOptions, choice, number
from ann2sdnn.support.options.limits import MOST_FRAMES


@dataclass(frozen=True)
class SourceOptions(CheckedOptions):
    """Options that every source understands; a source's own class adds its fields."""

    split: Side = choice("all", option="--split")
    """Side of the data's split; a source without a split gives everything for each side."""

    max_frames: int | None = number(None, at_least=1, at_most=MOST_FRAMES, option="--frames")
    """At most so many frames over all sequences; None for all."""


class FrameSource(Protocol):
    """A kind of data, recognised by a path's suffix or a folder's content."""

    @property
    def name(self) -> str:
        """What messages call this kind of data, such as "DHP19 recordings"."""

    @property
    def options(self) -> tuple[type[SourceOptions], ...]:
        """The source's own classes of options, the usual one first."""

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` holds this kind of data. Opens no file."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """``path`` and the files that opening it would read, for checks that nothing overwrites
        them. Opens no file, and never fails.
        """

    def open(self, path: Path, options: SourceOptions) -> tuple[Frames, ...]:
        """The sequences in ``path``, in a fixed order; none where ``options`` leave no frame.

        ``options`` is a plain ``SourceOptions`` or one of this source's own. Frames are read
        later, in chunks. Raises DataError for what cannot be read, UsageError for options that
        contradict the data.
        """

    def warnings(self, path: Path, options: SourceOptions) -> tuple[str, ...]:
        """A sentence for each implausible thing about the data that ``options`` choose."""
