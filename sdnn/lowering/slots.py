"""Where the planes of a network lie in the channels of a chain of layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import Weights
from ann2sdnn.sdnn.lowering.packing import Packed
from ann2sdnn.sdnn.lowering.pooling import HELD_ONCE, Signs

TWO_HALVES: Signs = (1, -1)


@dataclass(frozen=True)
class Slot:
    """A plane in consecutive channels of the chain, beginning with channel ``first``.

    ``plane``: as in ``Part.reads``. ``signs``: the channels of ``packed`` hold each value as a sum
    with these signs; of the input only, since readers of other planes know theirs.
    ``zero_beyond``: pixels of the coarse grid beyond the image are 0, as a padding reads them. A
    layer computes something there, and a carried plane has zeros.
    """

    plane: int
    packed: Packed
    first: int = 0
    signs: Signs = HELD_ONCE
    zero_beyond: bool = True

    @property
    def n_channels(self) -> int:
        """Channels of the chain that hold the plane."""
        return self.packed.held_shape[0]

    def fills(self, grid: Pair) -> bool:
        """Whether no pixel of ``grid`` lies beyond the image."""
        (_, *sizes), packing = self.packed.shape, self.packed.packing
        return all(n == r * size for n, r, size in zip(sizes, packing, grid, strict=True))

    def indices(self, grid: Pair) -> NDArray[np.int64]:
        """[C, H, W]: where each value lies in the chain's tensor on ``grid``, flattened."""
        channel, y, x = np.indices(self.packed.shape)
        rows, columns = self.packed.packing
        position = (y % rows) * columns + x % columns
        held = self.first + position * self.packed.shape[0] + channel
        flat: NDArray[np.int64] = (held * grid[0] + y // rows) * grid[1] + x // columns
        return flat


@dataclass(frozen=True)
class Layout:
    """What the chain holds in front of a layer, on a coarse grid of ``grid`` pixels.

    ``is_flat``: a dense layer came before, and netx has only dense layers after one; the grid then
    has one pixel.
    """

    slots: tuple[Slot, ...]
    grid: Pair
    is_flat: bool = False

    @property
    def n_channels(self) -> int:
        """All channels."""
        return sum(slot.n_channels for slot in self.slots)

    def of(self, plane: int) -> Slot:
        """The slot of ``plane``."""
        return next(slot for slot in self.slots if slot.plane == plane)


@dataclass(frozen=True)
class Carried:
    """A plane that a layer passes on: its ``slot`` in front of the layer.

    ``signed``: its values may be negative. A ReLU keeps non-negative values only, so they go on as
    two halves.
    """

    slot: Slot
    signed: bool

    @property
    def weight(self) -> Weights:
        """[C', C] between the channels behind and in front of the layer."""
        identity = np.eye(self.slot.packed.shape[0], dtype=np.float32)
        if not self.signed:
            return identity
        halves = [sign * identity for sign in TWO_HALVES]
        weight: Weights = np.stack(halves, axis=1).reshape(-1, len(identity))
        return weight

    def behind(self, packing: Pair) -> Slot:
        """The slot behind the layer, with a packing of its own."""
        channels, height, width = self.slot.packed.shape
        if not self.signed:
            return replace(self.slot, packed=Packed((channels, height, width), packing))
        packed = Packed((len(TWO_HALVES) * channels, height, width), packing)
        return replace(self.slot, packed=packed, signs=TWO_HALVES)


def in_order(slots: Sequence[Slot]) -> tuple[Slot, ...]:
    """The slots one after the other."""
    firsts = np.cumsum([0, *(slot.n_channels for slot in slots)])
    return tuple(
        replace(slot, first=int(first)) for slot, first in zip(slots, firsts[:-1], strict=True)
    )
