"""Draws a sequence of any source: a contact sheet and an animation of its frames.

Three channels are drawn as red, green and blue, one channel as grey, any other number as the grey
of their mean. Values of 0 to 255 are black to white; where frames are dark (uint8 below 64) or
floating-point numbers, the range that is drawn is that of the frames shown.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.recordings.options import ShowOptions
from ann2sdnn.data.sources.frames import FrameArray, Frames
from ann2sdnn.support.files.targets import check_files
from ann2sdnn.support.files.writing import atomic_file, files_in

if TYPE_CHECKING:
    from PIL import Image

SHEET_FRAMES, SHEET_COLUMNS = 6, 3
_DARK = 64
_SMALLEST, _LARGEST = 160, 640  # pixels of a drawn frame's longer side


@dataclass(frozen=True)
class DrawnFiles:
    """The pictures of one sequence, and a sentence on how values became colours."""

    sheet: Path
    animation: Path
    colours: str


@dataclass(frozen=True)
class _Scale:
    """The range of values that is drawn, and the factor by which frames are enlarged."""

    low: float
    high: float
    channels: int

    def __call__(self, frame: FrameArray) -> "Image.Image":
        """A frame [C, H, W] as an RGB picture of a readable size."""
        from PIL import Image

        values = frame.astype(np.float32)
        if self.channels != 3:
            values = values.mean(axis=0, keepdims=True)
        span = self.high - self.low or 1.0
        levels = np.clip((values - self.low) / span, 0, 1) * 255
        pixels = np.broadcast_to(np.rint(levels).astype(np.uint8), (3, *frame.shape[1:]))
        picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)), "RGB")
        longer = max(picture.size)
        if longer < _SMALLEST:
            factor = -(-_SMALLEST // longer)
            size = (picture.width * factor, picture.height * factor)
            return picture.resize(size, Image.Resampling.NEAREST)
        if longer > _LARGEST:
            picture.thumbnail((_LARGEST, _LARGEST))
        return picture

    @property
    def sentence(self) -> str:
        """How values are drawn."""
        colours = {1: "grey", 3: "red, green and blue"}
        drawn = colours.get(self.channels, f"the mean of {self.channels} channels as grey")
        return f"Drawn as {drawn}: {self.low:g} is black, {self.high:g} is the brightest"


def draw_sequence(
    frames: Frames, out: Path, options: ShowOptions, *, force: bool = False
) -> DrawnFiles:
    """Write ``<name>.png`` and ``<name>.gif`` of a sequence into the folder ``out``.

    The contact sheet shows up to ``SHEET_FRAMES`` frames, evenly spaced; the animation shows the
    first ones. Raises OutputError when a file exists and ``force`` is false, DataError for damage.
    """
    from PIL import Image

    from ann2sdnn.data.pose.drawing import with_caption
    from ann2sdnn.data.recordings.pictures import evenly_spaced, tile

    stem = re.sub(r"[^\w.-]+", "_", frames.name) or "frames"
    sheet, animation = out / f"{stem}.png", out / f"{stem}.gif"
    check_files(out, (sheet.name, animation.name), force=force)
    indices = evenly_spaced(range(frames.n_frames), SHEET_FRAMES)
    chosen = dict(zip(indices, _at(frames, indices), strict=True))
    moving = frames.part(0, options.max_frames)
    scale = _scale(chain(chosen.values(), _each(moving)), frames.shape[0])
    cells = [with_caption(scale(frame), f"frame {index}") for index, frame in chosen.items()]
    with (
        files_in(out),
        atomic_file(sheet, force=force) as sheet_file,
        atomic_file(animation, force=force) as animation_file,
    ):
        tile(cells, min(SHEET_COLUMNS, len(cells))).save(sheet_file, "PNG", optimize=True)
        pages = (scale(frame).quantize(dither=Image.Dither.NONE) for frame in _each(moving))
        first = next(pages)
        # Pillow takes the rest one by one, so that few pictures are held in memory.
        first.save(
            animation_file,
            "GIF",
            save_all=True,
            append_images=pages,
            duration=round(1000 / options.fps),
            loop=0,
        )
    return DrawnFiles(sheet, animation, scale.sentence)


def _scale(frames: Iterator[FrameArray], channels: int) -> _Scale:
    """The range of the values of ``frames``; 0 to 255 for uint8 that is not dark."""
    low, high, is_float = np.inf, -np.inf, False
    for frame in frames:
        low, high = min(low, float(frame.min())), max(high, float(frame.max()))
        is_float = frame.dtype != np.uint8
    return _Scale(*shown_range(low, high, is_float=is_float), channels)


def shown_range(low: float, high: float, *, is_float: bool) -> tuple[float, float]:
    """The values that are black and white where frames reach from ``low`` to ``high``."""
    if is_float:
        return low, high
    return 0.0, 255.0 if high >= _DARK else high


def _each(frames: Frames) -> Iterator[FrameArray]:
    for chunk in frames.chunks():
        yield from chunk


def _at(frames: Frames, indices: Sequence[int]) -> list[NDArray[np.uint8] | NDArray[np.float32]]:
    """The frames at ``indices``, which grow, in one pass."""
    wanted = set(indices)
    return [frame.copy() for index, frame in enumerate(_each(frames)) if index in wanted]
