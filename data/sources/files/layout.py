"""Types and axes of stored arrays: which arrays are frames, and how they become [T, C, H, W]."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.options.fields import choice

Layout = Literal["auto", "tchw", "thwc"]

_PICTURE_CHANNELS = (1, 3, 4)
_FORMS = "[T, C, H, W], [T, H, W] or [T, H, W, C]"


@dataclass(frozen=True)
class ArrayOptions(SourceOptions):
    """How an array's axes are read."""

    panel = "Data"

    layout: Layout = choice("auto", option="--layout")
    """Axes of stored arrays: tchw (channels, rows, columns per frame), thwc (channels last), or
    what the sizes suggest."""


@dataclass(frozen=True)
class ArrayForm:
    """How a stored array [T, ...] becomes frames [T, C, H, W]."""

    n_frames: int
    shape: tuple[int, int, int]
    axes: tuple[int, ...] | None
    """Order of the axes that ``transpose`` takes; None adds the axis of one channel."""
    remark: str | None = None
    """A sentence where the axes were guessed."""

    def frames(self, block: NDArray[Any]) -> FrameArray:
        """A block of the array along its first axis, as frames in memory of their own."""
        turned = block[:, None] if self.axes is None else block.transpose(self.axes)
        kind: type[Any] = np.float32 if block.dtype.kind == "f" else np.uint8
        return np.array(turned, kind, order="C")


@dataclass(frozen=True)
class ArrayReader:
    """Base of the readers of an array in the file ``path``; see ``FrameReader``."""

    path: Path
    form: ArrayForm

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.form.n_frames

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.form.shape

    @property
    def remark(self) -> str | None:
        """A sentence where the axes were guessed."""
        return self.form.remark


def form_of(shape: Sequence[int], dtype: np.dtype[Any], layout: Layout, where: str) -> ArrayForm:
    """The form of an array of ``shape`` and ``dtype``, named ``where`` in messages.

    An array [T, H, W] has one channel. Of four axes the last holds channels where it is 1, 3 or 4
    long and the second is not; ``layout`` says otherwise. Raises DataError for arrays that are no
    frames and for empty ones, UsageError for a layout of an array that has no channels.
    """
    sizes = tuple(int(size) for size in shape)
    check_dtype(dtype, where)
    if len(sizes) not in {3, 4}:
        raise DataError(f"{where} is {list(sizes)}; expected frames {_FORMS}")
    if 0 in sizes:
        raise DataError(f"{where} is {list(sizes)}, so it is empty; expected one or more frames")
    if len(sizes) == 3:
        if layout != "auto":
            raise UsageError(
                f"--layout {layout}: {where} is {list(sizes)}, frames of one channel without an"
                " axis for it; leave the option out"
            )
        n_frames, height, width = sizes
        return ArrayForm(n_frames, (1, height, width), None)
    second, last = sizes[1], sizes[3]
    looks_last = last in _PICTURE_CHANNELS and second not in _PICTURE_CHANNELS
    if layout == "thwc" or (layout == "auto" and looks_last):
        n_frames, height, width, channels = sizes
        remark = (
            f"{where} is {list(sizes)} and was read with channels last, as {channels} channels of"
            f" {height}x{width}; --layout thwc or tchw says so for certain"
        )
        guessed = remark if layout == "auto" else None
        return ArrayForm(n_frames, (channels, height, width), (0, 3, 1, 2), guessed)
    n_frames, channels, height, width = sizes
    return ArrayForm(n_frames, (channels, height, width), (0, 1, 2, 3))


def check_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Raise DataError unless values are uint8, float32 or bool (which are read as 0 and 1)."""
    native = dtype.newbyteorder("=")
    if native in (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.bool_)):
        return
    if dtype.kind in "iu":
        advice = "convert whole numbers of 0 to 255 with .astype(numpy.uint8), others with"
        advice += " .astype(numpy.float32)"
    elif dtype.kind == "f":
        advice = "convert it with .astype(numpy.float32)"
    else:
        advice = "write numbers of one of these types"
    raise DataError(f"{where} is {dtype}; expected uint8 or float32, so {advice}")
