"""The delta unit of the engine: what a population of neurons sends, frame by frame."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.engine.kernels import emit


class Emitter:
    """The delta unit of a population of neurons; ``peaks`` and counts are of its last step.

    It computes in float32 until it is ``widen``ed, and in float64 from then on.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        gain: float,
        threshold: float,
        step: float | None,
        stock: bool,
        limit: float,
        after: Tensor,
        is_stateful: bool,
    ) -> None:
        self.is_stateful = is_stateful
        self.gain = np.float32(gain)
        self.threshold = np.float32(threshold)
        self.message_step = np.float32(step or 0.0)
        self.stock = stock
        self.limit = np.float32(limit)
        self.sent = pixels_first(shape)
        self._fan_out = as_pixels(after[None])
        self._messages = pixels_first(shape)
        self._peaks = np.zeros((shape[1], shape[0]), np.float32)
        self._counts = np.zeros((shape[1], 3), np.int64)

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

    def step(self, activation: Tensor) -> Tensor:
        """The messages for ``activation`` [1, C, H, W]; overwritten by the next step."""
        if not self.is_stateful:
            self.sent.zero_()
        emit(
            as_pixels(activation),
            self.gain,
            as_pixels(self.sent),
            self.threshold,
            self.message_step,
            self.stock,
            self.limit,
            self._fan_out,
            as_pixels(self._messages),
            self._peaks,
            self._counts,
        )
        return self._messages

    @property
    def peaks(self) -> Tensor:
        """[C]: the largest magnitude of a message in each channel."""
        return torch.from_numpy(self._peaks.max(axis=0))

    @property
    def n_messages(self) -> int:
        """Messages sent."""
        return int(self._counts[:, 0].sum())

    @property
    def n_operations(self) -> int:
        """Synaptic operations that they cause."""
        return int(self._counts[:, 1].sum())

    @property
    def n_oversized(self) -> int:
        """Messages that do not fit 16 bits."""
        return int(self._counts[:, 2].sum())


def pixels_first(shape: Shape) -> Tensor:
    """Zeros [1, C, H, W] that lie in memory as [H, W, C]."""
    channels, height, width = shape
    return torch.zeros(1, height, width, channels).permute(0, 3, 1, 2)


def as_pixels(values: Tensor) -> NDArray[np.floating[Any]]:
    """[1, C, H, W] as [H, W, C]: shares memory where it lies so, and is a copy elsewhere."""
    array: NDArray[np.floating[Any]] = values[0].permute(1, 2, 0).contiguous().numpy()
    return array
