"""Options of a conversion."""

from dataclasses import dataclass, field, replace
from typing import Literal

from ann2sdnn.calibration.learning.options import DistilOptions
from ann2sdnn.calibration.thresholds.rule import RULES, ThresholdRule
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.registry import source_options
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import (
    CheckedOptions,
    choice,
    free,
    number,
    numbers,
    one_of,
    only_with,
    size,
)
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_WORKERS

Shifts = Literal["stock", "per-layer"]
Rounding = Literal["nearest", "gptq"]


@dataclass(frozen=True)
class QuantiseOptions(CheckedOptions):
    """How scales are chosen and weights rounded."""

    panel = "Calibration"

    # 64 leaves 9 of a message's 15 bits; there is no use for more.
    headroom: float = number(2.0, at_least=1, at_most=64, option="--headroom", panel="Range")
    """Limits of states and messages over the largest value that calibration measured."""
    # One per layer at most; no network that netx can hold has more layers.
    relays: int | None = number(
        None, at_least=0, at_most=1000, option="--relays", panel="Range", shown_default="chosen"
    )
    """Number of layers with relays of what they read: higher accuracy, more messages and latency.
    By default as many as bring the predicted error of rounding to 0.05."""
    shifts: Shifts = choice("stock", option="--shifts", panel="Range")
    """Right shift from state to message: netx's 6 bits in every layer, or one chosen per layer (not
    for netx)."""
    rounding: Rounding = choice("gptq", option="--rounding")
    """Rounding of weights: to the nearest, or with compensation of rounding errors."""
    distil: DistilOptions | None = only_with("minutes", "steps")
    """How the integer weights are fine-tuned."""


@dataclass(frozen=True)
class ConvertOptions(CheckedOptions):
    """How a network is calibrated and converted."""

    thresholds: ThresholdRule = one_of(
        RateDistortion(), RULES, option="--thresholds", panel="Thresholds"
    )
    """Threshold rule."""
    threshold_bits: int = number(
        0, at_least=0, at_most=6, option="--threshold-bits", panel="Thresholds"
    )
    """Binary places of thresholds beyond netx's 1/64, at most those of --spike-exp (not for
    netx)."""
    # Weights, states and messages are the same integers with any of them; only thresholds and
    # biases, which lava stores in 1/64 of the activation, become coarser with it.
    spike_exp: int = number(0, at_least=0, at_most=10, option="--spike-exp", panel="Range")
    """Binary places of a message beyond 6, as lava's netx takes it: a threshold is a multiple of
    2^spike_exp messages' units."""
    quantise: QuantiseOptions = field(default_factory=QuantiseOptions)
    """How scales are chosen and weights are rounded."""
    # Pixels are 0 to 255. Networks take inputs around 1, or the pixels as they are.
    input_scale: float | None = number(
        None, at_least=1e-6, at_most=1e6, option="--input-scale", panel="Data"
    )
    """Factor from a frame's values, pixels of 0 to 255 or float32, to the network's input."""
    input_mean: tuple[float, ...] | None = numbers(
        None, at_least=-1e6, at_most=1e6, fewest=1, option="--input-mean", panel="Data"
    )
    """Mean that is subtracted after the factor: one number, or one per channel."""
    input_std: tuple[float, ...] | None = numbers(
        None, above=0, at_most=1e6, fewest=1, option="--input-std", panel="Data"
    )
    """Standard deviation that the input is then divided by: one number, or one per channel."""
    resize: Pair | None = size(None, option="--resize", panel="Data")
    """Height and width that frames are resized to first, bilinear."""
    split: Side = choice("train", option="--split", panel="Data")
    """Side of the data to calibrate on. Of sequences the last quarter tests, the eighth before it
    validates; of DHP19's subjects 13-17 test, as in its paper, and 11 and 12 validate."""
    source: SourceOptions | None = source_options()
    """Options of the data's source."""
    max_frames: int | None = number(
        256, at_least=1, at_most=MOST_FRAMES, option="--frames", none="0", panel="Data"
    )
    """Calibration frames over all sequences; 0 for all."""
    workers: int = number(
        1, at_least=1, at_most=MOST_WORKERS, option="--workers", panel="Calibration"
    )
    """Processes that measure activation statistics, with one thread each; the other stages use one
    process."""
    sweep: bool = free(False, option="--sweep", panel="Output")
    """Also run every threshold rule and draw operations against the error that it adds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold_bits > self.spike_exp:
            raise UsageError(
                f"--threshold-bits {self.threshold_bits} with --spike-exp {self.spike_exp}; a"
                " threshold below one unit of a message has no effect, so at most"
                f" {self.spike_exp} is expected"
            )
        self.thresholds.check(self.grid)

    def preprocessing(self, stored: Preprocessing) -> Preprocessing:
        """``stored`` in the network's file, with what these options say instead."""
        return replace(
            stored,
            mean=stored.mean if self.input_mean is None else self.input_mean,
            std=stored.std if self.input_std is None else self.input_std,
            resize=stored.resize if self.resize is None else self.resize,
        )

    @property
    def grid(self) -> Grid:
        """The number formats."""
        return Grid(self.spike_exp, self.threshold_bits)
