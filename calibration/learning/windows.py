"""Windows to distil on: calibration frames, cropped and augmented, without labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ann2sdnn.calibration.learning.options import Variety
from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import Graph
from ann2sdnn.support.errors import ModelError


def windows_of(graph: Graph, variety: Variety) -> "WindowGrid":
    """Size and grid of the windows for ``graph``.

    Whole frames where a dense layer, or a kernel larger than the window, needs them.
    """
    _, height, width = graph.input_shape
    crop = (min(variety.crop[0], height), min(variety.crop[1], width))
    return WindowGrid(crop if _takes(graph, crop) else (height, width), _phases(graph))


@dataclass(frozen=True)
class WindowGrid:
    """Size of windows, and where they may begin."""

    crop: Pair
    """Rows and columns of a window."""
    phases: Pair = (4, 4)
    """Windows begin at multiples of these rows and columns, so that pooling and strides meet the
    same pixels as in a whole frame."""


def _takes(graph: Graph, crop: Pair) -> bool:
    """Whether the graph's layers fit frames of the size ``crop``."""
    try:
        resized(graph, crop)
    except ModelError:
        return False
    return True


def _phases(graph: Graph) -> Pair:
    """The coarsest grid of all layers, in pixels of the input."""
    coarsest = [1, 1]
    for axis in range(2):
        pixels: list[Fraction | None] = [Fraction(1)]  # from one pixel to the next, by plane
        for layer, (plane, *_) in zip(graph.layers, graph.reads, strict=True):
            before = pixels[plane]
            if before is None or layer.geometry.reads_flat:
                pixels.append(None)
                continue
            stride = 1 if layer.pool is None else layer.pool.stride[axis]
            own = before * layer.geometry.pixel_steps()[axis] * stride
            pixels.append(own)
            coarsest[axis] = math.lcm(coarsest[axis], math.ceil(own))
    return (coarsest[0], coarsest[1])


def window(
    frames: Sequence[Tensor],
    variety: Variety,
    generator: torch.Generator,
    size: WindowGrid | None = None,
) -> Tensor:
    """A window [C, h, w] of a random frame, of its type, around a random non-zero pixel.

    ``size``: by default the crop of ``variety``.
    """
    size = size or WindowGrid(variety.crop)
    picture = _cropped(frames, size, generator)
    if float(torch.rand((), generator=generator)) < variety.plain:
        return picture
    values = picture.to(torch.float32)
    if float(torch.rand((), generator=generator)) < variety.mixed:
        values = torch.maximum(values, _cropped(frames, size, generator).to(torch.float32))
    if float(torch.rand((), generator=generator)) < 0.5:
        values = values.flip(2)
    low, high = variety.brightness
    values = values * (low + (high - low) * torch.rand((), generator=generator))
    return values.clamp(0, 255).to(torch.uint8) if picture.dtype == torch.uint8 else values


def _cropped(frames: Sequence[Tensor], size: WindowGrid, generator: torch.Generator) -> Tensor:
    frame = frames[int(torch.randint(len(frames), (1,), generator=generator))]
    active = torch.nonzero((frame != 0).any(dim=0))
    if len(active):
        # Row and column of the same pixel.
        pixel = active[int(torch.randint(len(active), (1,), generator=generator))]
        corner = [int(pixel[axis]) - size.crop[axis] // 2 for axis in range(2)]
    else:
        corner = [
            int(torch.randint(max(1, length - crop + 1), (1,), generator=generator))
            for length, crop in zip(frame.shape[1:], size.crop, strict=True)
        ]
    top, left = (
        min(max(start, 0), max(0, length - crop)) // phase * phase
        for start, length, crop, phase in zip(
            corner, frame.shape[1:], size.crop, size.phases, strict=True
        )
    )
    return frame[:, top : top + size.crop[0], left : left + size.crop[1]]
