"""Video files, and folders of them: one sequence per file, decoded forwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.files.colours import Colour, ColourOptions, channels_first
from ann2sdnn.data.sources.files.decoding import RgbFrame, decoder, truncated
from ann2sdnn.data.sources.files.listing import files_in, on_side, sequence_names
from ann2sdnn.data.sources.files.stored import StoredFrames, stored
from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


@dataclass(frozen=True)
class VideoReader:
    """A video, decoded from its beginning each time, because only that finds every frame."""

    path: Path
    n_frames: int
    shape: tuple[int, int, int]
    remark: str | None = None

    def read(self, start: int, stop: int, n_frames: int) -> Iterator[FrameArray]:
        """See ``FrameReader``."""
        frames = islice(decoder(self.path).frames(self.path), start, stop)
        for first in range(start, stop, n_frames):
            wanted = min(n_frames, stop - first)
            chunk = [self._channels(frame) for frame in islice(frames, wanted)]
            if len(chunk) < wanted:
                raise truncated(self.path, self.n_frames, first + len(chunk))
            yield np.stack(chunk)

    def _channels(self, frame: RgbFrame) -> NDArray[np.uint8]:
        from PIL import Image

        if frame.shape[:2] != self.shape[1:]:
            sizes = "x".join(map(str, frame.shape[:2])), "x".join(map(str, self.shape[1:]))
            raise DataError(
                f"{self.path} changes its size from {sizes[1]} to {sizes[0]}; expected one size, so"
                " write it again with one"
            )
        picture = Image.fromarray(frame)
        return channels_first(picture.convert("L") if self.shape[0] == 1 else picture)


@dataclass(frozen=True)
class VideoSource:
    """Video files and folders of them."""

    name: str = "videos"
    options: tuple[type[SourceOptions], ...] = (ColourOptions,)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is a video by its suffix, or a folder that holds one."""
        return bool(files_in(path, SUFFIXES))

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files, and the folder."""
        return (path, *files_in(path, SUFFIXES))

    def open(
        self, path: Path, options: SourceOptions | None, split: Side
    ) -> tuple[StoredFrames, ...]:
        """Sequences in natural order of the files' names."""
        colour = options.colour if isinstance(options, ColourOptions) else "stored"
        files = files_in(path, SUFFIXES)
        names = zip(files, sequence_names(files), strict=True)
        return on_side([_sequence(file, name, colour) for file, name in names], split)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """None."""
        return ()


def _sequence(file: Path, name: str, colour: Colour) -> StoredFrames:
    refuse_lfs_pointer(file, DataError)
    if not file.is_file():
        raise DataError(f"{file} does not exist; name a video file, or a folder of them")
    n_frames, height, width = decoder(file).measure(file)
    if n_frames == 0:
        raise DataError(f"{file} has no frames; write it again")
    reader = VideoReader(file, n_frames, (1 if colour == "grey" else 3, height, width))
    return stored(reader, name, (0, n_frames), None)
