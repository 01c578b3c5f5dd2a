"""How a tensor of a network's file holds the maps [N, C, H, W] of the graph.

Exporters transpose, flatten, squeeze and reshape: Keras keeps channels last, a signal has three
axes, a dense layer reads two. All of these are the same values in another order, so the graph keeps
[N, C, H, W] and this module keeps the order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape

Axes = tuple[tuple[int, ...], ...]

N, C, H, W = range(4)
MAPS: Axes = ((N,), (C,), (H,), (W,))
FLAT: Axes = ((N,), (C, H, W))
SIGNAL: Axes = ((N,), (C,), (W,))


@dataclass(frozen=True)
class Data:
    """Maps of ``shape`` (C, H, W) in a tensor with ``axes``.

    ``axes``: for each axis of the tensor the axes of [N, C, H, W] that it runs through, the slowest
    first; an axis of size 1 may be anywhere or missing. Channels last is ((N,), (H,), (W,), (C,)),
    flattened ((N,), (C, H, W)).
    """

    batch: int
    shape: Shape
    axes: Axes = MAPS

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Sizes of N, C, H and W."""
        return (self.batch, *self.shape)

    @property
    def dims(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(prod(self.sizes[one] for one in axis) for axis in self.axes)

    @property
    def held(self) -> Axes:
        """``axes`` without those of size 1, which have no order."""
        return tuple(tuple(one for one in axis if self.sizes[one] > 1) for axis in self.axes)

    def after(self, shape: Shape) -> "Data":
        """The same with another ``shape``."""
        return replace(self, shape=shape)

    def flattened(self) -> "Data":
        """The same values as a tensor [N, C * H * W], or with C last where they are held so."""
        order = [one for axis in self.axes for one in axis if one != N]
        return replace(self, axes=((N,), tuple(order)))

    def is_flat(self) -> bool:
        """Whether the tensor is [N, K]."""
        return len(self.axes) == 2 and self.held[0] in ((), (N,)) and N not in self.held[1]

    def has_channels_last(self) -> bool:
        """Whether the last axis is C and those before it hold pixels, [..., H, W, C] or [H * W, C].

        False for a tensor [N, K].
        """
        *before, last = self.held
        pixels = [one for axis in before for one in axis]
        return last == (C,) and C not in pixels and (len(self.axes) > 2 or bool({H, W} & {*pixels}))

    def spatial(self) -> tuple[int, ...] | None:
        """For each axis after the second which of H (0) and W (1) it runs through.

        None where the tensor is not [N, C, ...] with one or two such axes.
        """
        if len(self.axes) not in (3, 4) or self.held[0] not in ((), (N,)):
            return None
        if self.held[1] not in ((), (C,)) or any(len(axis) > 1 for axis in self.held[2:]):
            return None
        taken: list[int | None] = [axis[0] - H if axis else None for axis in self.held[2:]]
        if any(one is not None and one < 0 for one in taken):
            return None
        # An axis of size 1 is W in a signal, else the one that is left, in order.
        free = [one for one in ((1, 0) if len(taken) == 1 else (0, 1)) if one not in taken]
        return tuple(free.pop(0) if one is None else one for one in taken)

    def with_maps(self, shape: Shape) -> "Data":
        """The same order with maps of ``shape``; for a tensor that has ``spatial`` axes."""
        spatial = self.spatial()
        assert spatial is not None
        return Data(self.batch, shape, ((N,), (C,), *((H + one,) for one in spatial)))

    def map_axis(self, axis: int) -> int | None:
        """Which of N, C, H and W the tensor's ``axis`` is; None where that is not one of them."""
        held = self.held[axis]
        if len(held) == 1:
            return held[0]
        spatial = self.spatial()
        if held or spatial is None:
            return None
        return (N, C, *(H + one for one in spatial))[axis]

    def grown(self, shape: Shape) -> "Data":
        """The same order with larger maps: an axis of size 1 gets its place."""
        return self.after(shape) if self.spatial() is None else self.with_maps(shape)

    def regrouped(self, dims: Sequence[int]) -> "Data | None":
        """The same values in a tensor of ``dims``; None where an axis of the maps would be split.

        The batch stays an axis of its own, except where a batch of 1 is joined with the pixels of
        channels last, [H * W, C].
        """
        order = [one for axis in self.held for one in axis]
        axes: list[tuple[int, ...]] = []
        for size in dims:
            axis: list[int] = []
            while order and prod(self.sizes[one] for one in axis) < size:
                axis.append(order.pop(0))
            if prod(self.sizes[one] for one in axis) != size:
                return None
            axes.append(tuple(axis))
        first = (N,) if self.batch > 1 else ()
        joined = self.batch == 1 and len(axes) > 1 and set(axes[0]) <= {H, W}
        if order or not axes or (axes[0] != first and not joined):
            return None
        return replace(self, axes=tuple(axes))

    def spread(self, values: NDArray[Any]) -> NDArray[Any] | None:
        """``values``, which broadcast against the tensor, as [C, 1, 1] or, where pixels differ,
        [C, H, W]; None where they do not broadcast or differ within a batch.
        """
        missing = len(self.axes) - values.ndim
        if missing < 0 or any(
            size not in (1, own)
            for size, own in zip(values.shape, self.dims[missing:], strict=True)
        ):
            return None
        values = values.reshape((1,) * missing + values.shape)
        channels = self.shape[0]
        if values.size == 1:
            return np.broadcast_to(values.reshape(1, 1, 1), (channels, 1, 1))
        maps = self.unpacked(np.broadcast_to(values, self.dims))
        if len(maps) > 1 and (maps != maps[:1]).any():
            return None
        whole: NDArray[Any] = maps[0]
        first = whole[:, :1, :1]
        return first if (whole == first).all() else whole

    def unpacked(self, values: NDArray[Any]) -> NDArray[Any]:
        """``values`` of the tensor, of any batch, as [N, C, H, W]."""
        order = [one for axis in self.held for one in axis if one != N]
        split = values.reshape(-1, *(self.sizes[one] for one in order))
        places = [0, *(order.index(one) + 1 for one in sorted(order))]
        return split.transpose(places).reshape(-1, *self.shape)

    def packed(self, maps: NDArray[Any]) -> NDArray[Any]:
        """``maps`` [N, C, H, W] of any N as the tensor; the inverse of ``unpacked``."""
        order = [one for axis in self.held for one in axis if one != N]
        dims = list(self.dims)
        if dims[0] == self.batch:
            dims[0] = len(maps)
        return maps.transpose(0, *order, *(one for one in (C, H, W) if one not in order)).reshape(
            dims
        )


@dataclass(frozen=True)
class Held:
    """The tensor ``name`` of a network's file, and how it holds the maps of the graph."""

    name: str
    data: Data
