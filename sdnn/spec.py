"""The spec: everything a backend needs to run a converted network, in integers.

Number formats are those of lava-dl and lava-nc on Loihi 2 (lava-dl 0.6.0, netx/hdf5.py). With
``spike_exp`` e, in units of the (scaled) activation:

- a weight is a multiple of 2/64 from -256/64 to 254/64,
- a bias and a threshold are multiples of 1/64,
- a message is a multiple of 2^-(6+e) and fits a signed 16-bit integer,
- a neuron's state is a multiple of 2^-(12+e) in a signed 24-bit integer: |state| < 2^(11-e).

Between state and message lies a right shift (lava's state_exp, 6 in every layer that netx loads):
what has been sent is floor(state >> shift) message units, which is the activation times
2^(6 - shift). Thresholds are compared with what would be sent, so lava's vth, in units of the
state, is threshold * 2^(e + shift), and has to fit 24 bits too. The process takes any such number;
a grid with ``threshold_bits`` b uses it, with thresholds that are multiples of 1/64 / 2^b.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.convert.geometry import Geometry, Pool, Shape, check_chain
from ann2sdnn.errors import ConversionError, ModelError
from ann2sdnn.option_fields import CheckedOptions, number

WEIGHT_MIN, WEIGHT_MAX, WEIGHT_STEP = -256, 254, 2
UNITS = 64  # integers per 1.0 of weights, biases and thresholds
MESSAGE_MAX = 2**15 - 1
STATE_MAX = 2**23 - 1
SHIFT, SHIFT_MAX = 6, 14  # netx's, and the largest


@dataclass(frozen=True)
class Grid(CheckedOptions):
    """The number formats that follow from ``spike_exp``, in units of the scaled activation.

    ``threshold_bits``: binary places of a threshold beyond netx's 1/64; not 0 is outside its file
    format.
    """

    limit_error = ConversionError  # a file's grid may be wrong, not only an option

    spike_exp: int = number(6, at_least=0, at_most=10)
    threshold_bits: int = number(0, at_least=0, at_most=6)

    @property
    def message_step(self) -> float:
        """One unit of a message."""
        return 2.0 ** -(6 + self.spike_exp)

    @property
    def threshold_step(self) -> float:
        """One unit of a threshold."""
        return 1 / (UNITS << self.threshold_bits)

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
    ``threshold`` in units of the grid's ``threshold_step``, 1/64 as a rule, of what is sent.
    ``scale`` float64 [O]: what the layer sends sums up to
    ``scale`` times the original network's activation, ``shift`` included.

    ``shift``: right shift from state to message; other than 6 is outside netx's file format.
    ``remembers``: False makes the layer memoryless. It sends floor(a) wherever a reaches the
    threshold, every frame anew, and the sum it goes into starts from zero in every frame. Only the
    engine runs such layers.
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
    shift: int = SHIFT
    remembers: bool = True

    def __post_init__(self) -> None:
        legal = (self.weight >= WEIGHT_MIN) & (self.weight <= WEIGHT_MAX) & (self.weight % 2 == 0)
        if not legal.all():
            raise ModelError(f"layer {self.name}: a weight that is no even integer in -256..254")
        if self.threshold < 0:
            raise ModelError(f"layer {self.name}: a negative threshold ({self.threshold})")
        if not 0 <= self.shift <= SHIFT_MAX:
            raise ModelError(
                f"layer {self.name}: a right shift of {self.shift} bits; expected 0 to {SHIFT_MAX}"
            )
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
    def send_gain(self) -> float:
        """What is sent over the pooled activation in the neuron: 2^(6 - shift)."""
        return 2.0 ** (SHIFT - self.shift)

    def state_threshold(self, grid: Grid) -> int:
        """The threshold in units of the state: lava's vth, rounded up to a whole number."""
        return -(-int(self.threshold) << (grid.spike_exp + self.shift) >> grid.threshold_bits)

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
    """A converted network. A uint8 pixel enters as ``input_gain`` message units a count.

    ``input_remembers``: False sends every pixel that is not zero, every frame anew.
    """

    input_shape: Shape
    input_scale: float
    input_gain: int
    grid: Grid
    layers: tuple[SpecLayer, ...]
    source_sha256: str
    input_remembers: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.input_gain * 255 <= MESSAGE_MAX:
            raise ModelError(f"an input gain of {self.input_gain}; a pixel of 255 must fit 16 bits")
        check_chain(self.input_shape, self.layers)
        for layer in self.layers:
            if layer.state_threshold(self.grid) > STATE_MAX:
                raise ModelError(
                    f"layer {layer.name}: a threshold of"
                    f" {layer.threshold * self.grid.threshold_step:g} exceeds the 24 bits of the"
                    f" state; expected less than"
                    f" {2.0 ** (17 - self.grid.spike_exp - layer.shift):g}"
                )

    @property
    def memoryless_layers(self) -> tuple[str, ...]:
        """Names of what does not remember, the input first."""
        names = () if self.input_remembers else ("input",)
        return names + tuple(layer.name for layer in self.layers if not layer.remembers)

    @property
    def output_scale(self) -> NDArray[np.float64]:
        """[O]: divide the decoded output by it to get the original network's output."""
        return self.layers[-1].scale

    @property
    def output_shape(self) -> Shape:
        """Shape of the output."""
        return self.layers[-1].output_shape
