"""Elements of an ONNX chain: what its nodes compute, before they are grouped into layers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.arrangement import Held
from ann2sdnn.graph.geometry import Pads
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.layers import Weights
from ann2sdnn.graph.pooling import Pool

Floats64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear operation with its weight and bias."""

    name: str
    geometry: Geometry
    weight: Weights
    bias: Weights | None


@dataclass(frozen=True, eq=False)
class Affine:
    """y = factor * x + shift, such as a trained batch normalisation.

    ``factor``, ``shift``: [C, 1, 1], or [C, H, W] where pixels differ.
    """

    name: str
    factor: Weights
    shift: Weights

    @property
    def is_per_channel(self) -> bool:
        """Whether all pixels of a channel have the same factor and shift."""
        return self.factor.shape[1:] == self.shift.shape[1:] == (1, 1)


@dataclass(frozen=True)
class Clip:
    """y = min(max(x, low), high); a ReLU has the limits 0 and infinity."""

    name: str
    low: float = 0.0
    high: float = np.inf

    @property
    def is_relu(self) -> bool:
        """Whether it is a ReLU without an upper limit."""
        return self.low == 0 and self.high == np.inf


@dataclass(frozen=True, eq=False)
class Leaky:
    """y = x where x is positive, else slope [C] * x."""

    name: str
    slope: Weights


@dataclass(frozen=True)
class Pooling:
    """Max or average pooling."""

    name: str
    pool: Pool


@dataclass(frozen=True)
class Padding:
    """Zeros around the maps."""

    name: str
    pads: Pads


Element = Linear | Affine | Clip | Leaky | Pooling | Padding


@dataclass(frozen=True, eq=False)
class Step:
    """An element, and the ONNX tensor that holds the values after it; None where none does."""

    element: Element
    tensor: Held | None


@dataclass(frozen=True)
class Merge:
    """Several tensors made one: the ``sum`` of them times ``signs``, or their channels one after
    another (``concat``).
    """

    name: str
    kind: Literal["sum", "concat"]
    signs: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Run:
    """Steps after each other, with no branch between them.

    ``reads``: the tensors that it begins with, several where ``merge`` makes them one, which
    ``merged`` holds then. ``writes``: the tensor after its last step.
    """

    reads: tuple[str, ...]
    merge: Merge | None
    merged: Held | None
    steps: tuple[Step, ...]
    writes: str


@dataclass(frozen=True, eq=False)
class Bend:
    """A function of one variable as a sum of ReLUs, per channel.

        y = shift + sum over k of coefficient[k] * relu(gain[k] * x + offset[k])

    Arrays are [K, C], ``shift`` [C]. ``commutes``: maximum pooling of the ReLUs and of y agree.
    """

    gains: Floats64
    offsets: Floats64
    coefficients: Floats64
    shift: Floats64
    commutes: bool


def bend_of(element: Clip | Leaky, channels: int) -> Bend:
    """``element`` as a sum of ReLUs: min(max(x, l), h) = l + relu(x - l) - relu(x - h).

    Without a lower limit it is h - relu(h - x); leaky is relu(x) - slope * relu(-x).
    """
    ones, zeros = np.ones(channels), np.zeros(channels)
    if isinstance(element, Leaky):
        return Bend(
            np.stack([ones, -ones]),
            np.stack([zeros, zeros]),
            np.stack([ones, -element.slope.astype(np.float64)]),
            zeros,
            commutes=False,
        )
    low, high = element.low, element.high
    if low == -np.inf:
        return Bend(-ones[None], high * ones[None], -ones[None], high * ones, commutes=False)
    if high == np.inf:
        return Bend(ones[None], -low * ones[None], ones[None], low * ones, commutes=True)
    return Bend(
        np.stack([ones, ones]),
        np.stack([-low * ones, -high * ones]),
        np.stack([ones, -ones]),
        low * ones,
        commutes=True,
    )
