"""The engine's delta unit: what a population of neurons sends in a frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.engine.kernels import emit


@dataclass(frozen=True, eq=False)
class Sent:
    """The messages of one population in one frame, with their counts."""

    messages: Tensor
    """[1, C, H, W]; overwritten in the next frame."""
    peaks: Tensor
    """[C]: the largest magnitude per channel."""
    n_messages: int
    n_operations: int
    """Synaptic operations that the messages cause."""
    n_oversized: int
    """Messages that do not fit 16 bits."""


class Emitter:
    """The delta unit of one population; ``fan_out`` [C, H, W]: operations per message.

    It computes in float32 until it is ``widen``ed, and in float64 from then on.
    """

    def __init__(
        self,
        fan_out: Tensor,
        *,
        gain: float,
        threshold: float,
        step: float,
        stock: bool,
        limit: float,
        is_stateful: bool,
    ) -> None:
        channels, height, width = fan_out.shape
        self.is_stateful = is_stateful
        self.sent = pixels_first((channels, height, width))
        self._fan_out = as_pixels(fan_out[None])
        self._gain, self._threshold = np.float32(gain), np.float32(threshold)
        self._step, self._limit = np.float32(step), np.float32(limit)
        self._stock = stock
        self._messages = torch.zeros_like(self.sent)
        self._peaks = np.zeros((height, channels), np.float32)
        self._counts = np.zeros((height, 3), np.int64)

    def reset(self) -> None:
        """Forget what was sent."""
        if self.is_wide:
            self.sent, self._messages = self.sent.float(), self._messages.float()
        self.sent.zero_()

    @property
    def is_wide(self) -> bool:
        """Whether it computes in float64."""
        return self.sent.dtype == torch.float64

    def widen(self) -> None:
        """Compute in float64 until the next reset."""
        self.sent, self._messages = self.sent.double(), self._messages.double()

    def step(self, activation: Tensor) -> Sent:
        """What is sent for ``activation`` [1, C, H, W]."""
        if not self.is_stateful:
            self.sent.zero_()
        emit(
            as_pixels(activation),
            self._gain,
            as_pixels(self.sent),
            (self._threshold, self._step, self._stock),
            self._limit,
            self._fan_out,
            as_pixels(self._messages),
            self._peaks,
            self._counts,
        )
        peaks = torch.from_numpy(self._peaks.max(axis=0))
        return Sent(self._messages, peaks, *map(int, self._counts.sum(axis=0)))


def pixels_first(shape: Shape) -> Tensor:
    """Zeros [1, C, H, W] that lie in memory as [H, W, C]."""
    channels, height, width = shape
    return torch.zeros(1, height, width, channels).permute(0, 3, 1, 2)


def as_pixels(values: Tensor) -> NDArray[np.floating[Any]]:
    """[1, C, H, W] as [H, W, C]: a view where memory has that order, else a copy."""
    array: NDArray[np.floating[Any]] = values[0].permute(1, 2, 0).contiguous().numpy()
    return array
