"""Draws a recording: a contact sheet and an animation of its four cameras.

Both show the events of a frame and the skeleton of its label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ann2sdnn.data.pose.cameras import FRONT_CHANNELS, N_CAMERAS
from ann2sdnn.data.pose.drawing import LEFT, MIDDLE, RIGHT, draw_camera
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.options import ShowOptions
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.files.targets import check_files
from ann2sdnn.support.files.writing import atomic_file, files_in

SHEET_ROWS = 6
_CHANNELS = tuple(range(N_CAMERAS))
_ANIMATION_COLUMNS = 2
_GREYS = 16  # events need few levels, and fewer make a smaller file


@dataclass(frozen=True)
class ShownFiles:
    """The pictures of one recording."""

    sheet: Path
    animation: Path


def show(
    recording: Recording,
    out: Path,
    options: ShowOptions | None = None,
    *,
    frames: tuple[int, int] | None = None,
    force: bool = False,
) -> ShownFiles:
    """Write ``<stem>.png`` and ``<stem>.gif`` of a recording into the folder ``out``.

    ``frames`` is (start, stop), stop excluded; None stands for all frames. The contact sheet shows
    up to ``SHEET_ROWS`` frames of that range, evenly spaced: one row each, one column per camera.
    The animation shows the first frames of the range at a constant rate, however long they took
    (frames hold equally many events, not equal times). Right limbs are drawn vermilion, left
    ones blue, head, shoulders and hips green.

    Raises UsageError for a range that is empty or outside the recording, OutputError when a file
    exists and ``force`` is false, DataError for damage.
    """
    options = options or ShowOptions()
    indices = _checked_range(recording, frames)
    files = ShownFiles(out / f"{recording.name.stem}.png", out / f"{recording.name.stem}.gif")
    check_files(out, (files.sheet.name, files.animation.name), force=force)
    with (
        files_in(out),
        atomic_file(files.sheet, force=force) as sheet,
        atomic_file(files.animation, force=force) as animation,
    ):
        draw_sheet(recording, evenly_spaced(indices, SHEET_ROWS)).save(sheet, optimize=True)
        _write_animation(recording, indices[: options.max_frames], options.fps, animation)
    return files


def draw_sheet(recording: Recording, indices: Sequence[int]) -> Image.Image:
    """The frames at ``indices``, one row each, with the cameras as columns."""
    cells = [cell for index in indices for cell in draw_cameras(recording, index)]
    return tile(cells, N_CAMERAS)


def draw_cameras(recording: Recording, index: int) -> list[Image.Image]:
    """The pictures of one frame, one per camera."""
    images = recording.frames([index], _CHANNELS)[0]
    xyz_mm = recording.labels([index])
    cells = []
    for channel in _CHANNELS:
        joints = project_labels(xyz_mm, channel)
        caption = f"frame {index}   channel {channel}, {_place(channel)}"
        cells.append(draw_camera(images[channel], joints.pixels[0], joints.visible[0], caption))
    return cells


def tile(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size, row by row, in a grid of ``columns``."""
    width, height = cells[0].size
    rows = -(-len(cells) // columns)
    grid = Image.new("RGB", (columns * width, rows * height), "white")
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        grid.paste(cell, (column * width, row * height))
    return grid


def evenly_spaced(indices: range, most: int) -> list[int]:
    """``most`` of the indices (all, if there are no more), the first and the last included."""
    at = np.linspace(0, len(indices) - 1, min(most, len(indices)))
    return [indices[int(position)] for position in np.rint(at)]


def _write_animation(recording: Recording, indices: range, fps: float, path: Path) -> None:
    pages = _pages(recording, indices, _palette())
    first = next(pages)
    # Pillow takes the rest one by one, so that only palette pictures are held in memory.
    first.save(path, save_all=True, append_images=pages, duration=round(1000 / fps), loop=0)


def _pages(recording: Recording, indices: range, palette: Image.Image) -> Iterator[Image.Image]:
    for index in indices:
        page = tile(draw_cameras(recording, index), _ANIMATION_COLUMNS)
        yield page.quantize(palette=palette, dither=Image.Dither.NONE)


def _palette() -> Image.Image:
    """One palette for all frames: greys for events, and the skeleton's colours."""
    greys = np.rint(np.linspace(0, 255, _GREYS)).astype(int).tolist()
    colours = [(grey, grey, grey) for grey in greys] + [RIGHT, LEFT, MIDDLE]
    image = Image.new("P", (1, 1))
    image.putpalette([value for colour in colours for value in colour])
    return image


def _place(channel: int) -> str:
    return "front" if channel in FRONT_CHANNELS else "side"


def _checked_range(recording: Recording, frames: tuple[int, int] | None) -> range:
    start, stop = (0, recording.n_frames) if frames is None else frames
    if not 0 <= start < stop <= recording.n_frames:
        raise UsageError(
            f"{recording.name.stem} has frames 0 to {recording.n_frames - 1}, "
            f"so {start} up to but not including {stop} is not a range of them; "
            f"expected 0 <= start < stop <= {recording.n_frames}"
        )
    return range(start, stop)
