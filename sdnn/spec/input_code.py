"""Message units that the values of a frame enter as, and the input's messages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.preprocessing import COUNTS, FrameType
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX
from ann2sdnn.support.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

LEVEL_MAX = MESSAGE_MAX // 2
"""The largest magnitude of a level of float32 frames: a change from one end to the other fits a
message."""


@dataclass(frozen=True)
class InputCode:
    """The level that a value of a frame enters as: rint(value * gain) - offset[c], in message
    units.

    The input's messages are the changes of levels, which begin at 0: of each level since it was
    last sent, as soon as it is ``threshold`` or more. A level of 0 is an input of 0, so zeros that
    a layer pads with need no message.
    """

    gain: float
    """Message units per 1.0 of a value; a whole number for uint8 frames."""
    offset: tuple[int, ...] = ()
    """Per channel; none where nothing is subtracted."""
    dtype: FrameType = "uint8"
    """Type of the frames."""
    threshold: int = 0
    """In message units. At 0 and 1 every change is sent."""

    @property
    def is_plain(self) -> bool:
        """Whether levels are pixels times a whole number."""
        return not self.offset and self.dtype == "uint8"

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest level of any channel."""
        if self.dtype != "uint8":
            return -LEVEL_MAX, LEVEL_MAX
        offsets = self.offset or (0,)
        return -max(offsets), int(self.gain) * COUNTS - min(offsets)

    @property
    def largest_message(self) -> int:
        """The largest magnitude of a message: a first level, or a change between two."""
        low, high = self.bounds
        span = 2 * LEVEL_MAX if self.dtype != "uint8" else int(self.gain) * COUNTS
        return max(span, -low, high)

    @property
    def value_limits(self) -> tuple[float, float]:
        """The smallest and the largest value that every channel holds."""
        low, high = self.bounds
        if self.dtype == "uint8":
            return 0.0, float(COUNTS)
        offsets = self.offset or (0,)
        return (low + max(offsets)) / self.gain, (high + min(offsets)) / self.gain

    def levels(self, frames: "Tensor") -> "Tensor":
        """Levels int32 for ``frames`` [..., C, H, W].

        Raises DataError for values that are not finite, or beyond ``LEVEL_MAX``.
        """
        if self.dtype == "uint8":
            return self._offset_removed(frames.int() * int(self.gain))
        # float32 would lose the last units of a value that is far from 0.
        exact = self._offset_removed((frames.double() * self.gain).round())
        # Not a number is no more than anything.
        if not bool((exact.abs() <= LEVEL_MAX).all()):
            raise DataError(self._beyond(frames, exact))
        return exact.int()

    def entering(self, frames: "Tensor", message_step: float) -> "Tensor":
        """Levels in units of the scaled activation, float32, of which ``message_step`` is one unit;
        raises as ``levels``.
        """
        if self.is_plain:
            return frames.float() * (self.gain * message_step)
        return self.levels(frames).float() * message_step

    def messages(self, frames: "Tensor") -> NDArray[np.int32]:
        """The input's messages int32 [T, C, H, W] for a sequence of ``frames`` [T, C, H, W]."""
        levels = self.levels(frames)
        sent = held(levels, levels.new_zeros(levels.shape[1:]), self.threshold).numpy()
        return np.diff(sent, axis=0, prepend=np.zeros_like(sent[:1]))

    def _offset_removed(self, values: "Tensor") -> "Tensor":
        if not self.offset:
            return values
        offset = values.new_tensor(self.offset)
        return values - offset[:, None, None]

    def _beyond(self, frames: "Tensor", exact: "Tensor") -> str:
        values, reached = (each.movedim(-3, 0).flatten(1) for each in (frames, exact))
        channels = zip(values, reached, self.offset or (0,) * len(values), strict=True)
        for channel, (own, levels, offset) in enumerate(channels):
            wrong = own[~(levels.abs() <= LEVEL_MAX)]
            if len(wrong):
                low, high = ((offset + end) / self.gain for end in (-LEVEL_MAX, LEVEL_MAX))
                return (
                    f"frames hold {float(wrong[0]):g} in channel {channel}; the network was"
                    f" converted for values from {low:.4g} to {high:.4g} there, so calibrate on"
                    " frames that hold such values, or limit the values"
                )
        raise AssertionError("no level is beyond the limit")


def held(values: "Tensor", before: "Tensor", threshold: float) -> "Tensor":
    """The values [T, ...] that receivers of changes have after each of T frames of ``values``.

    A value is sent when it differs by ``threshold`` or more from the one last sent, at first
    ``before`` [...].
    """
    sent = values.clone()
    for frame, own in zip(values, sent, strict=True):
        changes = frame - before
        before = frame.where((changes != 0) & (changes.abs() >= threshold), before)
        own.copy_(before)
    return sent
