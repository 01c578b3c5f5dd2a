"""Numbered pictures (PNG, JPEG) in a folder, one sequence per folder.

The order of the pictures is that of the numbers in their names. A table ``labels.csv`` in the
folder holds their labels.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.files.colours import Colour, ColourOptions, channels_first, n_channels
from ann2sdnn.data.sources.files.label_files import TABLE, table_targets
from ann2sdnn.data.sources.files.listing import files_in, natural, on_side
from ann2sdnn.data.sources.files.stored import StoredFrames, stored
from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.data.sources.source import SourceOptions
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


@dataclass(frozen=True)
class PictureSource:
    """Folders of numbered pictures, and folders of such folders."""

    name: str = "pictures"
    options: tuple[type[SourceOptions], ...] = (ColourOptions,)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is a folder that holds a picture, itself or in a folder inside."""
        return bool(_folders(path))

    def files(self, path: Path) -> tuple[Path, ...]:
        """The pictures and tables, and their folders."""
        files = [path]
        for folder in _folders(path):
            files += [folder, folder / TABLE, *files_in(folder, SUFFIXES)]
        return tuple(dict.fromkeys(files))

    def open(
        self, path: Path, options: SourceOptions | None, split: Side
    ) -> tuple[StoredFrames, ...]:
        """Sequences in natural order of the folders' names."""
        colour = options.colour if isinstance(options, ColourOptions) else "stored"
        return on_side([_sequence(folder, colour) for folder in _folders(path)], split)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """None."""
        return ()


def _folders(path: Path) -> tuple[Path, ...]:
    """``path`` where it holds pictures, else the folders in it that do."""
    if not path.is_dir():
        return ()
    if files_in(path, SUFFIXES):
        return (path,)
    inside = sorted(
        (each for each in path.iterdir() if each.is_dir() and each.name[0] != "."),
        key=lambda folder: natural(folder.name),
    )
    return tuple(folder for folder in inside if files_in(folder, SUFFIXES))


def _sequence(folder: Path, colour: Colour) -> StoredFrames:
    names = tuple(file.name for file in files_in(folder, SUFFIXES))
    unnumbered = [name for name in names if not any(map(str.isdigit, name))]
    if unnumbered and len(names) > 1:
        raise DataError(
            f"{folder / unnumbered[0]} has no number in its name; number the pictures of a sequence"
            " in their order"
        )
    shape = _common_shape(folder, names, colour)
    labels = table_targets(folder / TABLE, names)
    reader = PictureReader(folder, names, shape)
    return stored(reader, folder.resolve().name, (0, len(names)), labels)


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
