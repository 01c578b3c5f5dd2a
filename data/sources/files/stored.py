"""A sequence of frames in a file or folder, read in chunks each time it is asked for.

A *reader* knows one kind of file. It holds no open file between calls, so sequences can be sent to
other processes, and memory does not grow with the number of frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from ann2sdnn.data.sources.frames import CHUNK_FRAMES, FrameArray
from ann2sdnn.data.sources.labels import Targets
from ann2sdnn.support.errors import DataError

_S = TypeVar("_S", bound="StoredFrames")


class FrameReader(Protocol):
    """The frames of one file, or of one folder of pictures, in order."""

    @property
    def path(self) -> Path:
        """The file or folder."""

    @property
    def n_frames(self) -> int:
        """Number of frames."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every frame."""

    @property
    def remark(self) -> str | None:
        """A sentence on how the file was read, where it could be read in another way, too."""

    def read(self, start: int, stop: int, n_frames: int) -> Iterator[FrameArray]:
        """Frames ``start`` to ``stop`` (excluded), ``n_frames`` at a time: uint8 or float32
        [n, C, H, W]. The last chunk may be shorter. Raises DataError for damage.
        """


@dataclass(frozen=True, eq=False)
class StoredFrames:
    """Frames ``start`` to ``stop`` (excluded) of a reader, as a sequence of its own group."""

    reader: FrameReader
    name: str
    start: int
    stop: int

    @property
    def group(self) -> str:
        """The sequence itself."""
        return self.name

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.stop - self.start

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.reader.shape

    @property
    def remark(self) -> str | None:
        """The reader's remark."""
        return self.reader.remark

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[FrameArray]:
        """The frames in order, ``n_frames`` at a time; DataError for NaN and infinities."""
        first = self.start
        for chunk in self.reader.read(self.start, self.stop, n_frames):
            check_finite(chunk, first, str(self.reader.path))
            yield chunk
            first += len(chunk)

    def part(self: _S, start: int, stop: int) -> _S:
        """Frames ``start`` to ``stop`` (excluded), counted from this sequence's first frame."""
        first, last = (min(self.start + at, self.stop) for at in (start, stop))
        return replace(self, start=first, stop=max(first, last))


@dataclass(frozen=True, eq=False)
class LabelledStoredFrames(StoredFrames):
    """Frames with a class or values for each; ``labels`` are those of all frames of the reader.

    ``classes``: names of the classes by number; none where they are not known.
    """

    labels: Targets
    classes: tuple[str, ...] = ()

    def targets(self) -> Targets:
        """Those of the sequence's frames."""
        return self.labels[self.start : self.stop]


def stored(
    reader: FrameReader, name: str, bounds: tuple[int, int], labels: Targets | None
) -> StoredFrames:
    """The sequence between ``bounds`` (start, stop), with labels where there are any."""
    if labels is None:
        return StoredFrames(reader, name, *bounds)
    return LabelledStoredFrames(reader, name, *bounds, labels)


def check_finite(chunk: FrameArray, first: int, where: str) -> None:
    """Raise DataError for a NaN or an infinity in ``chunk``, whose first frame is ``first``."""
    if chunk.dtype == np.uint8:
        return
    bad = np.flatnonzero(~np.isfinite(chunk).all(axis=(1, 2, 3)))
    if bad.size:
        raise DataError(
            f"{where}: frame {first + int(bad[0])} holds NaN or an infinity; expected finite"
            " numbers, so replace them, for example with numpy.nan_to_num"
        )
