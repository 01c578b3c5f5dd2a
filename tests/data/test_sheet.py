"""Contact sheets and animations of sequences of any source."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ann2sdnn.data.pose.drawing import CAPTION_HEIGHT
from ann2sdnn.data.recordings.options import ShowOptions
from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.data.sources.sheet import draw_sequence
from ann2sdnn.support.errors import OutputError

SIDE, FACTOR = 40, 4  # pixels of a frame, and by how much it is enlarged


def cell(sheet: Path, number: int) -> Image.Image:
    """The picture of a frame of the contact sheet, in the frame's own size."""
    row, column = divmod(number, 3)
    left, top = column * SIDE * FACTOR, row * (SIDE * FACTOR + CAPTION_HEIGHT) + CAPTION_HEIGHT
    with Image.open(sheet) as picture:
        box = (left, top, left + SIDE * FACTOR, top + SIDE * FACTOR)
        small: Image.Image = picture.crop(box).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        return small


def drawn(frames: FrameArray, folder: Path, number: int = 0) -> tuple[list[int], str]:
    """The colour of the middle of a frame on the sheet, and the sentence on colours."""
    files = draw_sequence(ArrayFrames(frames), folder, ShowOptions(max_frames=4))
    pixel = cell(files.sheet, number).getpixel((SIDE // 2, SIDE // 2))
    assert isinstance(pixel, tuple)
    return [int(value) for value in pixel], files.colours


def plain(*values: float, n_frames: int = 11) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Frames whose channels have one value each; one pixel of each frame is 255."""
    frames = np.zeros((n_frames, len(values), SIDE, SIDE), np.uint8)
    frames += np.array(values, np.uint8)[:, None, None]
    frames[:, :, 3, 3] = 255
    return frames


def test_three_channels_are_colours_one_is_grey_and_others_are_their_mean(tmp_path: Path) -> None:
    assert drawn(plain(200, 100, 50), tmp_path / "rgb")[0] == [200, 100, 50]
    pixel, sentence = drawn(plain(90), tmp_path / "grey")
    assert pixel == [90, 90, 90]
    assert sentence == "Drawn as grey: 0 is black, 255 is the brightest"
    pixel, sentence = drawn(plain(100, 50), tmp_path / "two")
    assert pixel == [75, 75, 75]
    assert "the mean of 2 channels as grey" in sentence


def test_the_range_of_dark_and_of_float_frames_is_their_own(tmp_path: Path) -> None:
    counts = np.zeros((3, 1, SIDE, SIDE), np.uint8)
    counts[:, :, 10:30, 10:30] = 4
    counts[1, :, 0, 0] = 8
    pixel, sentence = drawn(counts, tmp_path / "counts")
    assert pixel[0] in {127, 128}
    assert "8 is the brightest" in sentence
    signed = np.linspace(-1, 1, 3, dtype=np.float32)[:, None, None, None] + np.zeros(
        (1, 1, SIDE, SIDE), np.float32
    )
    assert drawn(signed, tmp_path / "float", 0)[0] == [0, 0, 0]
    pixel, sentence = drawn(signed, tmp_path / "floats", 2)
    assert pixel == [255, 255, 255]
    assert "-1 is black, 1 is the brightest" in sentence


def test_the_sheet_is_evenly_spaced_and_the_animation_is_the_beginning(tmp_path: Path) -> None:
    frames = plain(0)
    for number, frame in enumerate(frames):
        frame[0, 10:30, 10:30] = 10 * number
    files = draw_sequence(
        ArrayFrames(frames, "part 3/x"), tmp_path, ShowOptions(max_frames=4, fps=20)
    )
    assert (files.sheet.name, files.animation.name) == ("part_3_x.png", "part_3_x.gif")
    middles = [cell(files.sheet, number).getpixel((20, 20)) for number in range(6)]
    assert middles == [(value,) * 3 for value in (0, 20, 40, 60, 80, 100)]
    with Image.open(files.animation) as animation:
        assert getattr(animation, "n_frames", 1) == 4
        assert animation.info["duration"] == 50
        animation.seek(3)
        pixel = animation.convert("L").getpixel((80, 80))
    assert isinstance(pixel, int | float)
    assert abs(pixel - 30) <= 8
    with pytest.raises(OutputError, match="exists already"):
        draw_sequence(ArrayFrames(frames, "part 3/x"), tmp_path, ShowOptions())
