"""The spec: a converted network in integers, which every backend runs.

Its number formats are those of ``grid``.
"""

import math
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.layers import BaseLayer, Network
from ann2sdnn.graph.preprocessing import COUNTS, Preprocessing
from ann2sdnn.sdnn.spec.grid import (
    MESSAGE_MAX,
    SHIFT,
    SHIFT_MAX,
    STATE_MAX,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Grid,
)
from ann2sdnn.sdnn.spec.input_code import InputCode
from ann2sdnn.support.errors import ModelError

# In state units. Bias plus state stay below 2^25, and float32 holds all even numbers up to that.
_BIAS_MAX = 3 * (STATE_MAX + 1)
_OFFSET_MAX = 2**30  # of message units, of values far from 0


@dataclass(frozen=True, eq=False)
class Population(BaseLayer):
    """One population of sigma-delta neurons."""

    is_stateful: bool = field(default=True, kw_only=True)
    """False makes the layer memoryless: in every frame it sends each activation that reaches the
    threshold, rounded towards 0, and its receiver's sum starts from zero. Only the engine runs
    these."""
    is_relay: bool = field(default=False, kw_only=True)
    """The conversion inserted the layer; the original network has none of that name."""
    n_carried: int = field(default=0, kw_only=True)
    """In a lowered network: number of channels, the last ones, that pass on what they receive, with
    a threshold of 0."""


@dataclass(frozen=True, eq=False)
class SpecLayer(Population):
    """A population in integers."""

    weight: NDArray[np.int16]
    """In 1/64."""
    bias: NDArray[np.int32] | None
    """[O] in 1/64."""
    threshold: int
    """Of what is sent, in units of the grid's ``threshold_step`` (1/64 by default)."""
    scale: NDArray[np.float64]
    """[O]: what the layer sends sums up to ``scale`` times the original network's activation."""
    shift: int = SHIFT
    """Right shift from state to message; values other than 6 are outside netx's file format."""

    def __post_init__(self) -> None:
        check_layer(self)

    @property
    def send_gain(self) -> float:
        """What is sent, per pooled activation: 2^(6 - shift)."""
        return 2.0 ** (SHIFT - self.shift)

    def state_threshold(self, grid: Grid) -> int:
        """The threshold in units of the state, rounded up: lava's vth."""
        return -(-int(self.threshold) << (grid.spike_exp + self.shift) >> grid.threshold_bits)

    def state_thresholds(self, grid: Grid) -> NDArray[np.int64]:
        """[O]: the same for each channel; 0 for the carried ones."""
        thresholds = np.full(self.preactivation_shape[0], self.state_threshold(grid), np.int64)
        thresholds[len(thresholds) - self.n_carried :] = 0
        return thresholds


def check_layer(layer: SpecLayer) -> None:
    """Raise ModelError, naming the layer, for fields that do not fit: no compiled loop checks."""
    try:
        _check_shapes(layer)
        _check_numbers(layer)
    except ModelError as error:
        raise ModelError(f"layer {layer.name}: {error}") from error


def _check_shapes(layer: SpecLayer) -> None:
    for synapse in layer.synapses:
        sizes = synapse.input_shape
        if len(sizes) != 3 or not all(_is_whole(n) and n >= 1 for n in sizes):
            raise ModelError(f"an input of shape {sizes}; expected channels, height, width")
        if synapse.weight.size == 0:
            shape = list(synapse.weight.shape)
            raise ModelError(f"a weight of shape {shape}; expected no axis of 0")
    if layer.pool is not None and layer.pool.kind not in ("max", "sum"):
        raise ModelError(f"{layer.pool.kind} pooling leaves the grid; use a sum")
    channels = layer.preactivation_shape[:1]
    _ = layer.output_shape
    layer.check_joined()
    if layer.bias is not None and layer.bias.shape != channels:
        raise ModelError(
            f"a bias of shape {list(layer.bias.shape)}; expected one for each of its {channels[0]}"
            " channels"
        )
    if layer.scale.shape != channels:
        raise ModelError(f"{layer.scale.size} scales do not fit its channels ({channels[0]})")


def _check_numbers(layer: SpecLayer) -> None:
    weights = [synapse.weight for synapse in layer.synapses]
    for what, values in (*(("weights", weight) for weight in weights), ("biases", layer.bias)):
        if values is not None and values.dtype.kind != "i":
            raise ModelError(f"{what} of type {values.dtype}; expected integers in 1/64")
    for weight in weights:
        if not ((weight >= WEIGHT_MIN) & (weight <= WEIGHT_MAX) & (weight % 2 == 0)).all():
            raise ModelError("a weight that is no even integer in -256..254")
    if not _is_whole(layer.threshold) or layer.threshold < 0:
        raise ModelError(f"a threshold of {layer.threshold!r}; expected a whole number, 0 or more")
    if not _is_whole(layer.shift) or not 0 <= layer.shift <= SHIFT_MAX:
        raise ModelError(f"a right shift of {layer.shift} bits; expected 0 to {SHIFT_MAX}")
    if not (np.isfinite(layer.scale) & (layer.scale > 0)).all():
        raise ModelError("a scale that is no finite number above 0")


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


class SigmaDeltaBase(Network):
    """Base of a spec and of a network made from it."""

    layers: tuple[Population, ...]
    input_is_stateful: bool

    @property
    def planes_are_stateful(self) -> tuple[bool, ...]:
        """Of the input and every layer: whether its messages are changes."""
        return (self.input_is_stateful, *(layer.is_stateful for layer in self.layers))

    @property
    def n_neurons(self) -> int:
        """Neurons of all layers, before pooling."""
        return sum(math.prod(layer.preactivation_shape) for layer in self.layers)

    def receives_changes(self, index: int) -> bool:
        """Whether the sum of layer ``index`` goes on from frame to frame."""
        return self.planes_are_stateful[self.reads[index][0]]

    @property
    def memory_groups(self) -> tuple[int, ...]:
        """Of every plane the first one that is stateful or memoryless together with it: the sources
        of one layer are, and all outputs.
        """
        first = list(range(len(self.layers) + 1))
        for together in (*self.reads, self.output_planes):
            joined = {first[plane] for plane in together}
            first = [min(joined) if each in joined else each for each in first]
        return tuple(first)

    def check_memory(self) -> None:
        """Raise ModelError unless each layer receives changes only, or values only: its sum either
        goes on or starts from zero.
        """
        stateful = self.planes_are_stateful
        for layer, planes in zip(self.layers, self.reads, strict=True):
            if len({stateful[plane] for plane in planes}) > 1:
                raise ModelError(
                    f"layer {layer.name} reads memoryless layers and others; expected one kind"
                )
        if len({stateful[plane] for plane in self.output_planes}) > 1:
            raise ModelError("the outputs are of memoryless layers and others; expected one kind")

    @property
    def memoryless_layers(self) -> tuple[str, ...]:
        """Names of the memoryless layers, "input" first."""
        names = () if self.input_is_stateful else ("input",)
        return names + tuple(layer.name for layer in self.layers if not layer.is_stateful)


@dataclass(frozen=True, eq=False)
class Spec(SigmaDeltaBase):
    """A converted network in integers."""

    input_shape: Shape
    input_scale: float
    """Factor from a value of a frame, before mean and standard deviation."""
    input_gain: float
    """Message units per 1.0 of a value; a whole number for uint8 frames."""
    grid: Grid
    layers: tuple[SpecLayer, ...]
    source_sha256: str
    """Digest of the ONNX file that was converted."""
    input_is_stateful: bool = True
    """False sends every level that is not zero in every frame."""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """What is done to frames: the same for the original network."""
    input_offset: tuple[int, ...] = ()
    """[C]: message units that are subtracted, the rounded mean; none without a mean."""
    input_threshold: int = 0
    """In message units: the input sends changes of so much or more, memoryless such levels."""
    output_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_input()
        if not (math.isfinite(self.input_scale) and self.input_scale > 0):
            raise ModelError(
                f"an input scale of {self.input_scale}; expected a finite number above 0"
            )
        if not self.layers:
            raise ModelError("a network without layers; expected one layer or more")
        self.check_shapes()
        self.check_memory()
        for layer in self.layers:
            self._check_state(layer)

    def _check_input(self) -> None:
        """A level and a change of levels must fit a message."""
        gain, is_pixels = self.input_gain, self.preprocessing.dtype == "uint8"
        if is_pixels and (not _is_whole(gain) or not 1 <= gain * COUNTS <= MESSAGE_MAX):
            raise ModelError(
                f"an input gain of {gain}; expected a whole number of 1 or more, and a pixel of 255"
                " must fit 16 bits"
            )
        if not (math.isfinite(gain) and gain > 0):
            raise ModelError(f"an input gain of {gain}; expected a finite number above 0")
        offset = self.input_offset
        if len(offset) not in (0, self.input_shape[0]) or not all(map(_is_whole, offset)):
            raise ModelError(
                f"input offsets of {offset}; expected whole numbers, one for each of"
                f" {self.input_shape[0]} channels"
            )
        if max(map(abs, offset), default=0) > _OFFSET_MAX:
            raise ModelError(f"input offsets of {offset}; expected {_OFFSET_MAX} at most")
        least = self.input_threshold
        if not _is_whole(least) or not 0 <= least <= MESSAGE_MAX:
            raise ModelError(
                f"an input threshold of {least!r}; expected a whole number from 0 to {MESSAGE_MAX}"
            )
        if self.input_code.largest_message > MESSAGE_MAX:
            raise ModelError(
                f"input offsets of {offset} at an input gain of {gain}; expected that any pixel"
                " fits 16 bits"
            )

    @property
    def input_code(self) -> InputCode:
        """What the values of frames enter as."""
        return InputCode(
            self.input_gain, self.input_offset, self.preprocessing.dtype, self.input_threshold
        )

    def _check_state(self, layer: SpecLayer) -> None:
        """Threshold and bias in the 24 bits of the state."""
        where, grid = f"layer {layer.name}", self.grid
        if layer.state_threshold(grid) > STATE_MAX:
            raise ModelError(
                f"{where}: a threshold of {layer.threshold * grid.threshold_step:g} exceeds the 24"
                " bits of the state; expected less than"
                f" {2.0 ** (17 - grid.spike_exp - layer.shift):g}"
            )
        # netx wants the bias in 24 bits (``netx/export.py``); beyond this no backend adds exactly.
        largest = 0 if layer.bias is None else int(np.abs(layer.bias.astype(np.int64)).max())
        if largest << (SHIFT + grid.spike_exp) > _BIAS_MAX:
            raise ModelError(
                f"{where}: a bias of {largest}/64 is more than 3 times what the 24 bits of the"
                f" state hold ({grid.state_limit:g}); convert with a smaller --spike-exp"
            )

    @property
    def output_scale(self) -> NDArray[np.float64]:
        """[O] as in ``output_shape``: divide the decoded output by it to get the original network's
        output. Of several outputs one number for each value.
        """
        scales = [self.layers[plane - 1].scale for plane in self.output_planes]
        if len(scales) == 1:
            return scales[0]
        sizes = [math.prod(shape[1:]) for shape in self.output_shapes]
        return np.concatenate(
            [np.repeat(scale, size) for scale, size in zip(scales, sizes, strict=True)]
        )
