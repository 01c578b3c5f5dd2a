"""Draws one camera's events with the labelled skeleton over them.

Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ann2sdnn.data.pose.joints import BONES, JOINTS

Colour = tuple[int, int, int]
Pixels = NDArray[np.int64] | NDArray[np.float64]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
RIGHT: Colour = (213, 94, 0)
LEFT: Colour = (0, 114, 178)
MIDDLE: Colour = (0, 158, 115)

CAPTION_HEIGHT = 18
_FONT_SIZE = 13
_LINE_WIDTH = 2
_HALO_WIDTH = 4  # a white rim keeps a line readable where events are dense
_JOINT_RADIUS = 2
_HEAD_RADIUS = 6

_HEAD = JOINTS.index("head")


def draw_camera(
    frame: NDArray[np.uint8] | NDArray[np.float32],
    pixels: Pixels,
    visible: NDArray[np.bool_],
    caption: str,
) -> Image.Image:
    """One camera's picture: RGB, W wide, ``CAPTION_HEIGHT`` + H high, the caption on top.

    ``frame`` [H, W] holds the normalised event counts, ``pixels`` [13, 2] the joints as
    (column, row) of it; joints that are not ``visible`` [13] are left out, and so are their bones.
    """
    picture = draw_events(frame)
    draw_skeleton(picture, pixels, visible)
    return with_caption(picture, caption)


def draw_events(frame: NDArray[np.uint8] | NDArray[np.float32]) -> Image.Image:
    """Events of a frame [H, W] as an RGB picture, dark on white.

    Darkness grows with the square root of the count, so that single events can be seen.
    """
    grey = 255.0 * (1.0 - np.sqrt(frame / 255.0))
    return Image.fromarray(np.rint(grey).astype(np.uint8), "L").convert("RGB")


def draw_skeleton(picture: Image.Image, pixels: Pixels, visible: NDArray[np.bool_]) -> None:
    """Draw bones, joints and a ring around the head into an RGB ``picture``."""
    pen = ImageDraw.Draw(picture)
    points = [(round(float(column)), round(float(row))) for column, row in pixels]
    bones = [(a, b) for a, b in BONES if visible[a] and visible[b]]
    for a, b in bones:
        pen.line([points[a], points[b]], fill=WHITE, width=_HALO_WIDTH)
    for a, b in bones:
        pen.line([points[a], points[b]], fill=bone_colour(a, b), width=_LINE_WIDTH)
    for joint in np.flatnonzero(visible):
        pen.ellipse(
            _box(points[joint], _JOINT_RADIUS), fill=joint_colour(int(joint)), outline=WHITE
        )
    if visible[_HEAD]:
        pen.ellipse(_box(points[_HEAD], _HEAD_RADIUS + 1), outline=WHITE, width=_HALO_WIDTH)
        pen.ellipse(_box(points[_HEAD], _HEAD_RADIUS), outline=MIDDLE, width=_LINE_WIDTH)


def with_caption(picture: Image.Image, caption: str) -> Image.Image:
    """``picture`` below a white strip with ``caption``, inside a thin grey border."""
    width, height = picture.size
    cell = Image.new("RGB", (width, height + CAPTION_HEIGHT), WHITE)
    cell.paste(picture, (0, CAPTION_HEIGHT))
    pen = ImageDraw.Draw(cell)
    pen.text((5, 2), caption, fill=BLACK, font=ImageFont.load_default(_FONT_SIZE))
    pen.rectangle((0, 0, width - 1, height + CAPTION_HEIGHT - 1), outline=(190, 190, 190))
    return cell


def joint_colour(joint: int) -> Colour:
    """``RIGHT`` or ``LEFT`` for a joint of that side, ``MIDDLE`` for the head."""
    return {"R": RIGHT, "L": LEFT}.get(JOINTS[joint][-1], MIDDLE)


def bone_colour(a: int, b: int) -> Colour:
    """The colour of a bone's side; ``MIDDLE`` where it joins right and left."""
    sides = {joint_colour(a), joint_colour(b)} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE


def _box(centre: tuple[int, int], radius: int) -> tuple[int, int, int, int]:
    column, row = centre
    return column - radius, row - radius, column + radius, row + radius
