"""The spec: everything a backend needs to run a converted network, in integers.

Number formats are those of lava-dl and lava-nc on Loihi 2 (lava-dl 0.6.0, netx/hdf5.py). With
``spike_exp`` e, in units of the (scaled) activation:

- a weight is a multiple of 2/64 from -256/64 to 254/64,
- a bias and a threshold are multiples of 1/64,
- a message is a multiple of 2^-(6+e) and fits a signed 16-bit integer,
- a neuron's state is a multiple of 2^-(12+e) in a signed 24-bit integer: |state| < 2^(11-e).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.convert.geometry import Geometry, Pool, Shape, check_chain
from ann2sdnn.errors import ConversionError, ModelError

WEIGHT_MIN, WEIGHT_MAX, WEIGHT_STEP = -256, 254, 2
UNITS = 64  # integers per 1.0 of weights, biases and thresholds
MESSAGE_MAX = 2**15 - 1


@dataclass(frozen=True)
class Grid:
    """The number formats that follow from ``spike_exp``, in units of the scaled activation."""

    spike_exp: int = 6

    def __post_init__(self) -> None:
        if not 0 <= self.spike_exp <= 10:
            raise ConversionError(
                f"spike_exp = {self.spike_exp}; expected 0 to 10 (lava's default is 6)"
            )

    @property
    def message_step(self) -> float:
        """One unit of a message."""
        return 2.0 ** -(6 + self.spike_exp)

    @property
    def state_limit(self) -> float:
        """The state wraps round at this magnitude."""
        return 2.0 ** (11 - self.spike_exp)

    @property
    def message_limit(self) -> float:
        """The largest message."""
        return MESSAGE_MAX * self.message_step


@dataclass(frozen=True, eq=False)
class SpecLayer:
    """One population of sigma-delta neurons.

    ``weight`` int16 in 1/64, laid out as its geometry says; ``bias`` int32 [O] in 1/64 or None;
    ``threshold`` in 1/64. ``scale`` float64 [O]: what the layer sends sums up to ``scale`` times
    the original network's activation.
    """

    name: str
    geometry: Geometry
    weight: NDArray[np.int16]
    bias: NDArray[np.int32] | None
    relu: bool
    pool: Pool | None
    threshold: int
    scale: NDArray[np.float64]
    input_shape: Shape

    def __post_init__(self) -> None:
        legal = (self.weight >= WEIGHT_MIN) & (self.weight <= WEIGHT_MAX) & (self.weight % 2 == 0)
        if not legal.all():
            raise ModelError(f"layer {self.name}: a weight that is no even integer in -256..254")
        if self.threshold < 0:
            raise ModelError(f"layer {self.name}: a negative threshold ({self.threshold})")
        if self.pool is not None and self.pool.kind == "average":
            raise ModelError(f"layer {self.name}: average pooling leaves the grid; use a sum")
        if self.scale.shape != self.preactivation_shape[:1]:
            raise ModelError(f"layer {self.name}: {self.scale.size} scales do not fit its channels")

    @property
    def op(self) -> str:
        """Name of the linear operation, for people."""
        return {"Convolution": "conv", "TransposedConvolution": "conv-t", "Dense": "dense"}[
            type(self.geometry).__name__
        ]

    @property
    def preactivation_shape(self) -> Shape:
        """Shape of the neurons' states."""
        return self.geometry.output_shape(self.input_shape, self.weight.shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of the messages."""
        shape = self.preactivation_shape
        return shape if self.pool is None else self.pool.output_shape(shape)


@dataclass(frozen=True, eq=False)
class Spec:
    """A converted network. A uint8 pixel enters as ``input_gain`` message units a count."""

    input_shape: Shape
    input_scale: float
    input_gain: int
    grid: Grid
    layers: tuple[SpecLayer, ...]
    source_sha256: str

    def __post_init__(self) -> None:
        if not 1 <= self.input_gain * 255 <= MESSAGE_MAX:
            raise ModelError(f"an input gain of {self.input_gain}; a pixel of 255 must fit 16 bits")
        check_chain(self.input_shape, self.layers)

    @property
    def output_scale(self) -> NDArray[np.float64]:
        """[O]: divide the decoded output by it to get the original network's output."""
        return self.layers[-1].scale

    @property
    def output_shape(self) -> Shape:
        """Shape of the output."""
        return self.layers[-1].output_shape

    @property
    def input_neuron_scale(self) -> float:
        """Scaled activation of the input over the original network's input."""
        return self.input_gain * self.grid.message_step / self.input_scale
