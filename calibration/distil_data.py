"""Pictures to distil on: calibration frames, cropped and varied, without labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ann2sdnn.option_fields import CheckedOptions, number, numbers, size


@dataclass(frozen=True)
class Variety(CheckedOptions):
    """``crop``: rows and columns of a window, at most the frame's. ``plain``: the share of windows
    left as recorded; the others are flipped, mixed with one another and scaled in brightness,
    hardly upwards, where they would leave the range.
    """

    crop: tuple[int, int] = size((160, 208))
    plain: float = number(0.4, at_least=0, at_most=1)
    brightness: tuple[float, float] = numbers((0.6, 1.05), at_least=0, at_most=10, fewest=2)
    mixed: float = number(0.25, at_least=0, at_most=1)


def window(frames: Sequence[Tensor], variety: Variety, generator: torch.Generator) -> Tensor:
    """One window uint8 [C, h, w] of a random frame, around a random pixel that is not zero."""
    picture = _cropped(frames, variety.crop, generator)
    if float(torch.rand((), generator=generator)) < variety.plain:
        return picture
    values = picture.to(torch.float32)
    if float(torch.rand((), generator=generator)) < variety.mixed:
        values = torch.maximum(values, _cropped(frames, variety.crop, generator).to(torch.float32))
    if float(torch.rand((), generator=generator)) < 0.5:
        values = values.flip(2)
    low, high = variety.brightness
    values = values * (low + (high - low) * torch.rand((), generator=generator))
    return values.clamp(0, 255).to(torch.uint8)


def _cropped(frames: Sequence[Tensor], crop: tuple[int, int], generator: torch.Generator) -> Tensor:
    frame = frames[int(torch.randint(len(frames), (1,), generator=generator))]
    active = torch.nonzero(frame[0])
    starts = []
    for axis, (side, length) in enumerate(zip(frame.shape[1:], crop, strict=True)):
        wanted = int(torch.randint(max(1, side - length + 1), (1,), generator=generator))
        if len(active):
            pixel = active[int(torch.randint(len(active), (1,), generator=generator))][axis]
            wanted = int(pixel) - length // 2
        # Pooling and strides see the same phases as in a whole frame.
        starts.append(min(max(wanted, 0), max(0, side - length)) // 4 * 4)
    top, left = starts
    return frame[:, top : top + crop[0], left : left + crop[1]]
