"""The protocol of a frame source: recognise a path, and open it as sequences of frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.options.fields import CheckedOptions


@dataclass(frozen=True)
class SourceOptions(CheckedOptions):
    """Base of the options that one source has and others do not.

    ``one_sequence``: whether the options choose one sequence of each group, such as one camera.
    """

    one_sequence: ClassVar[bool] = False


class FrameSource(Protocol):
    """A kind of data, recognised by a path's suffix or a folder's content."""

    @property
    def name(self) -> str:
        """Name of this kind of data in messages, such as "DHP19 recordings"."""

    @property
    def options(self) -> tuple[type[SourceOptions], ...]:
        """The source's own classes of options; none where it has no options."""

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` holds this kind of data. Opens no file."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """``path`` and the files that opening it would read, for checks that nothing overwrites
        them. Opens no file, and never fails.
        """

    def open(self, path: Path, options: SourceOptions | None, split: Side) -> tuple[Frames, ...]:
        """The sequences of one side of the data's split, in a fixed order.

        Sequences of one group are next to each other. A source without a split gives everything
        for each side. ``options``: one of this source's own, or None. Frames are read later, in
        chunks. Raises DataError for what cannot be read, UsageError for options that contradict
        the data.
        """

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """A sentence for each implausible thing about one side of the data."""


class NoSource:
    """Stands for the source of a path that no source recognises."""

    name = "nothing that can be read"
    options: tuple[type[SourceOptions], ...] = ()

    def recognises(self, path: Path) -> bool:
        """False."""
        return False

    def files(self, path: Path) -> tuple[Path, ...]:
        """``path`` itself."""
        return (path,)

    def open(self, path: Path, options: SourceOptions | None, split: Side) -> tuple[Frames, ...]:
        """Raise DataError, which says what was expected."""
        what = "holds no frames" if path.exists() else "does not exist"
        raise DataError(
            f"{path} {what}; expected DHP19 recordings, arrays (.npy, .npz), HDF5 (.h5), videos or"
            " numbered pictures (.png, .jpg): a file, or a folder of them"
        )

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """None."""
        return ()
