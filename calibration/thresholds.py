"""Threshold rules: how large a change must be before a neuron sends it.

A threshold is a whole number of the grid's threshold steps, 1/64 of the scaled activation as lava
stores it. Rules that follow the statistics alone are here; the one that follows from a budget is
calibration/rate_distortion.py.
"""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ann2sdnn.calibration.rate_distortion import Memory
from ann2sdnn.calibration.statistics import Statistics
from ann2sdnn.errors import ConversionError, UsageError
from ann2sdnn.integers import narrowed_int
from ann2sdnn.sdnn.spec import Grid


class ThresholdRule(str, Enum):
    """How thresholds are chosen."""

    NONE = "none"
    FIXED = "fixed"
    PERCENTILE = "percentile"
    MEAN_DELTA = "mean-delta"
    RATE_DISTORTION = "rate-distortion"


@dataclass(frozen=True)
class ThresholdOptions:
    """``none``: 0 everywhere, every change of a message unit is sent. ``fixed``: ``value``, in
    units of the scaled activation, in every layer, as a network trained in slayer has it.
    ``percentile``: in each layer the magnitude below which ``percent`` of its changes lie.
    ``mean-delta``: in each layer ``factor`` times the mean magnitude of its changes.
    ``rate-distortion``: fewest operations at a mean displacement of ``budget_px``, with the layers
    that ``memory`` allows to remember. ``bits``: binary places of thresholds beyond netx's 1/64.
    """

    rule: ThresholdRule = ThresholdRule.NONE
    value: float = 0.1
    percent: float = 50.0
    factor: float = 1.0
    budget_px: float = 0.1
    memory: Memory = Memory.ALL
    bits: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.value < math.inf:
            raise UsageError(f"a threshold of {self.value}; expected 0 or more")
        if not 0 <= self.percent <= 100:
            raise UsageError(f"a percentile of {self.percent}; expected 0 to 100")
        if not 0 <= self.factor < math.inf:
            raise UsageError(f"{self.factor} times the mean change; expected 0 or more")
        if not self.budget_px > 0:
            raise UsageError(f"a budget of {self.budget_px} px; expected more than 0")
        Grid(threshold_bits=self.bits)


def choose_thresholds(
    options: ThresholdOptions, statistics: Statistics, output_scales: tuple[float, ...]
) -> tuple[int, ...]:
    """Thresholds [L] in the grid's threshold steps. ``output_scales`` [L]: scaled over original
    activation, after pooling. The last layer's is 0: its messages go to the host and cost no
    operations. Rate-distortion begins with 0 everywhere.
    """
    units = 1 / Grid(threshold_bits=options.bits).threshold_step
    if options.rule is ThresholdRule.FIXED:
        chosen = [_units(options.value * units)] * len(output_scales)
    elif options.rule is ThresholdRule.PERCENTILE:
        chosen = [
            _units(layer.changes.percentile(options.percent) * scale * units)
            for layer, scale in zip(statistics.layers, output_scales, strict=True)
        ]
    elif options.rule is ThresholdRule.MEAN_DELTA:
        chosen = [
            _units(options.factor * layer.changes.mean * scale * units)
            for layer, scale in zip(statistics.layers, output_scales, strict=True)
        ]
    else:
        chosen = [0] * len(output_scales)
    chosen[-1] = 0
    return tuple(chosen)


def _units(threshold: float) -> int:
    """Rounded down; ConversionError where there is no such number of threshold steps."""
    advice = "choose a lower threshold"
    floored = math.floor(threshold) if math.isfinite(threshold) else threshold
    what = "a threshold in the grid's steps"
    return narrowed_int(floored, np.int64, what, advice=advice, error=ConversionError)
