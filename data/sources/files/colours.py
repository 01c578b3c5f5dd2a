"""Colours of pictures and videos: how many channels their frames have."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.options.fields import choice

if TYPE_CHECKING:
    from PIL import Image

Colour = Literal["stored", "rgb", "grey"]


@dataclass(frozen=True)
class ColourOptions(SourceOptions):
    """The channels of pictures and videos."""

    panel = "Data"

    colour: Colour = choice("stored", option="--colour")
    """Channels of pictures and videos: three (rgb), one (grey), or as many as the file has."""


def n_channels(mode: str) -> int:
    """Channels of a picture of Pillow's ``mode``: 1 for grey, 3 for colour."""
    return 1 if mode in {"L", "1"} else 3


def channels_first(picture: "Image.Image") -> NDArray[np.uint8]:
    """A picture of the modes L or RGB as [C, H, W]."""
    pixels = np.asarray(picture, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
