"""Decoding of video files, frame by frame, in PyAV or, where that is missing, in OpenCV.

A video states its number of frames or its length in its header. Both decoders count what the file
really holds.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.support.errors import DataError

RgbFrame = NDArray[np.uint8]
"""[H, W, 3]: red, green, blue."""


class Decoder(Protocol):
    """A library that decodes video."""

    def measure(self, path: Path) -> tuple[int, int, int]:
        """Frames, height and width of a video. Raises DataError for what cannot be decoded."""

    def frames(self, path: Path) -> Iterator[RgbFrame]:
        """All frames in order. Raises DataError for damage."""


class PyAv:
    """FFmpeg's libraries through PyAV."""

    def measure(self, path: Path) -> tuple[int, int, int]:
        """Counts packets without decoding them; see ``Decoder``."""
        import av

        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise DataError(f"{path} holds no video; expected a file with a picture track")
                stream = container.streams.video[0]
                stated, picture = stream.frames, stream.codec_context
                if not stated and container.duration and stream.average_rate:
                    stated = round(container.duration / av.time_base * stream.average_rate)
                counted = sum(1 for packet in container.demux(stream) if packet.size)
        except (av.error.FFmpegError, ValueError) as damage:
            raise unreadable(path, damage) from damage
        _check_count(path, stated, counted)
        return (counted, picture.height, picture.width)

    def frames(self, path: Path) -> Iterator[RgbFrame]:
        """See ``Decoder``."""
        import av

        try:
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    yield frame.to_ndarray(format="rgb24")
        except (av.error.FFmpegError, ValueError) as damage:
            raise unreadable(path, damage) from damage


class OpenCv:
    """OpenCV's video files."""

    def measure(self, path: Path) -> tuple[int, int, int]:
        """Counts frames by stepping through them; see ``Decoder``."""
        import cv2

        video = cv2.VideoCapture(str(path))
        try:
            if not video.isOpened():
                raise unreadable(path, "OpenCV cannot open it")
            stated = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            height = int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
            width = int(video.get(cv2.CAP_PROP_FRAME_WIDTH))
            counted = 0
            while video.grab():
                counted += 1
        finally:
            video.release()
        _check_count(path, stated, counted)
        return (counted, height, width)

    def frames(self, path: Path) -> Iterator[RgbFrame]:
        """See ``Decoder``."""
        import cv2

        video = cv2.VideoCapture(str(path))
        try:
            while True:
                is_read, frame = video.read()
                if not is_read:
                    return
                yield np.ascontiguousarray(frame[:, :, ::-1])
        finally:
            video.release()


def decoder(path: Path) -> Decoder:
    """The decoder that is installed; DataError, which names ``path``, where none is."""
    if importlib.util.find_spec("av") is not None:
        return PyAv()
    if importlib.util.find_spec("cv2") is not None:
        return OpenCv()
    raise DataError(
        f"{path} is a video, and nothing that decodes it is installed: pip install"
        ' "ann2sdnn[video]"'
    )


def _check_count(path: Path, stated: int, counted: int) -> None:
    """Raise DataError where a file has clearly fewer frames than it states."""
    # Where a file states no number, ``stated`` is estimated from its length in seconds.
    if stated > counted + max(2, counted // 50):
        raise truncated(path, stated, counted)


def unreadable(path: Path, reason: object) -> DataError:
    """The error for a file that is not decoded."""
    why = getattr(reason, "strerror", None) or reason
    return DataError(
        f"{path} cannot be decoded as a video ({why}); it may be truncated, so copy or write it"
        " again"
    )


def truncated(path: Path, stated: int, n_frames: int) -> DataError:
    """The error for a video of ``stated`` frames that has only ``n_frames``."""
    return DataError(
        f"{path} should have {stated} frames and has {n_frames}, so it is truncated or damaged;"
        " copy it again, or write what is left to another file (ffmpeg -i OLD NEW)"
    )
