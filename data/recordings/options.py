"""Options of what is read from recordings and of what is drawn of them."""

from dataclasses import dataclass

from ann2sdnn.data.pose.cameras import camera_channel
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, number, size
from ann2sdnn.support.options.limits import MOST_FRAMES

CROP_MULTIPLE = 4
SIDE_MULTIPLE = 4  # the network halves its pictures twice
_MOST_FPS = 50  # viewers slow down what changes faster


@dataclass(frozen=True)
class PictureSize(CheckedOptions):
    """How pictures are made smaller: ``shrink`` first, then ``crop``."""

    panel = "Data"

    crop: tuple[int, int] | None = size(None, multiple=SIDE_MULTIPLE, option="--crop")
    """Height and width cut out around the person, in multiples of 4."""
    shrink: int = number(1, at_least=1, at_most=1000, option="--shrink")
    """Side in pixels of the squares that become one pixel, before --crop."""

    def window(self, height: int, width: int) -> tuple[int, int]:
        """Height and width, multiples of 4, of pictures of a size after shrinking and cropping.

        Raises UsageError when nothing is left, or when the crop does not fit.
        """
        left = [side // self.shrink // SIDE_MULTIPLE * SIDE_MULTIPLE for side in (height, width)]
        wanted = self.crop or (left[0], left[1])
        if not all(0 < a <= b for a, b in zip(wanted, left, strict=True)):
            raise UsageError(
                f"a picture of {wanted[0]}x{wanted[1]} pixels cannot be cut out of"
                f" {height // self.shrink}x{width // self.shrink}; change --crop or --shrink"
            )
        return wanted


WHOLE = PictureSize()


@dataclass(frozen=True)
class SequenceOptions(CheckedOptions):
    """How sequences are cut out of recordings."""

    panel = "Data"

    channel: int = camera_channel(1)
    """Camera, 0 to 3."""
    # A stateful network differs from a memoryless one from the second frame on.
    frames: int = number(8, at_least=2, at_most=10**4, option="--frames")
    """Frames per sequence."""
    size: PictureSize = WHOLE
    """How its pictures are made smaller."""


@dataclass(frozen=True)
class ShowOptions(CheckedOptions):
    """How the animation of a recording is drawn."""

    panel = "Pictures"

    max_frames: int = number(48, at_least=1, at_most=MOST_FRAMES, option="--frames")
    """Frames of the animation at most."""
    fps: float = number(10.0, at_least=1, at_most=_MOST_FPS, option="--fps")
    """Frames per second of the animation."""
