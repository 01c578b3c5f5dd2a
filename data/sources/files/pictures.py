"""Reads pictures (PNG, JPEG) as frames: one alone, or the numbered ones of a folder in order."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.data.sources.files.colours import Colour, channels_first, n_channels
from ann2sdnn.data.sources.files.listing import files_in
from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg")

_MODES = ("1", "L", "P", "RGB")
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
# What Pillow raises for damage, which depends on the damaged byte.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError)


@dataclass(frozen=True)
class PictureReader:
    """Pictures of one size, decoded one by one."""

    path: Path
    names: tuple[str, ...]
    shape: tuple[int, int, int]
    remark: str | None = None

    @property
    def n_frames(self) -> int:
        """Number of pictures."""
        return len(self.names)

    def read(self, start: int, stop: int, n_frames: int) -> Iterator[FrameArray]:
        """See ``FrameReader``."""
        mode = "L" if self.shape[0] == 1 else "RGB"
        for first in range(start, stop, n_frames):
            names = self.names[first : min(first + n_frames, stop)]
            chunk = np.empty((len(names), *self.shape), np.uint8)
            for index, name in enumerate(names):
                pixels = channels_first(_decoded(self.path / name, mode))
                if pixels.shape != self.shape:
                    raise DataError(
                        f"{self.path / name} has changed since it was opened; start again"
                    )
                chunk[index] = pixels
            yield chunk


def numbered(
    folder: Path, colour: Colour, *, remark: str | None = None, advice: str = ""
) -> PictureReader:
    """The pictures in ``folder`` in the order of the numbers in their names; reads their headers.

    Raises DataError for a name without a number, with ``advice`` on what else the pictures may be,
    and for pictures of different sizes.
    """
    names = tuple(file.name for file in files_in(folder, SUFFIXES))
    unnumbered = [name for name in names if not any(map(str.isdigit, name))]
    if unnumbered and len(names) > 1:
        raise DataError(
            f"{folder / unnumbered[0]} has no number in its name; number the pictures of a sequence"
            f" in their order{advice}"
        )
    return PictureReader(folder, names, _common_shape(folder, names, colour), remark)


def single(file: Path, colour: Colour) -> PictureReader:
    """One picture; reads its header."""
    return PictureReader(file.parent, (file.name,), _shape(file, colour))


def _common_shape(folder: Path, names: Sequence[str], colour: Colour) -> tuple[int, int, int]:
    """Channels, height and width of all pictures; reads their headers only."""
    expected: tuple[int, int, int] | None = None
    for name in names:
        shape = _shape(folder / name, colour)
        if expected is None:
            expected = shape
        if shape != expected:
            sizes = ["x".join(map(str, each)) for each in (shape, expected)]
            raise DataError(
                f"{folder / name} is {sizes[0]} (channels x height x width) and {names[0]} is"
                f" {sizes[1]}; expected pictures of one size in a folder"
                + ("" if shape[1:] != expected[1:] else ", so give --colour rgb or grey")
            )
    assert expected is not None
    return expected


def _shape(path: Path, colour: Colour) -> tuple[int, int, int]:
    from PIL import Image

    refuse_lfs_pointer(path, DataError)
    try:
        with Image.open(path) as picture:
            mode, (width, height) = picture.mode, picture.size
    except FileNotFoundError:
        raise
    except _DAMAGE as damage:
        raise _damaged(path, damage) from damage
    if mode in _WITH_ALPHA and colour == "stored":
        raise DataError(
            f"{path} has an alpha channel; give --colour rgb or --colour grey to leave it out"
        )
    if mode not in _MODES and mode not in _WITH_ALPHA:
        raise DataError(
            f"{path} has pixels of the mode {mode}; expected 8 bits per channel, grey or RGB, so"
            " convert the picture"
        )
    channels = {"stored": n_channels(mode), "rgb": 3, "grey": 1}[colour]
    return (channels, height, width)


def _decoded(path: Path, mode: str) -> "Image.Image":
    from PIL import Image

    try:
        # Pillow warns of palettes with transparency, which was asked to be left out.
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            converted: Image.Image = picture.convert(mode)
            return converted
    except FileNotFoundError:
        raise
    except _DAMAGE as damage:
        raise _damaged(path, damage) from damage


def _damaged(path: Path, damage: BaseException) -> DataError:
    reason = "not a picture" if "cannot identify" in str(damage) else str(damage)
    return DataError(f"{path} cannot be read as a picture ({reason}); copy or write it again")
