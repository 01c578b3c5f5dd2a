"""Threshold rules: how large a change must be before a neuron sends it.

A threshold is a whole number of the grid's threshold steps, 1/64 of the scaled activation as lava
stores it. Rules that follow the statistics alone are here; the one that follows from a budget is
calibration/thresholds/rate_distortion.py.
"""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ann2sdnn.calibration.measure.statistics import Statistics
from ann2sdnn.calibration.thresholds.rate_distortion import Memory
from ann2sdnn.sdnn.spec.spec import Grid
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed_int
from ann2sdnn.support.options.fields import CheckedOptions, number


class ThresholdRule(str, Enum):
    """How thresholds are chosen."""

    NONE = "none"
    FIXED = "fixed"
    PERCENTILE = "percentile"
    MEAN_DELTA = "mean-delta"
    RATE_DISTORTION = "rate-distortion"


@dataclass(frozen=True)
class ThresholdOptions(CheckedOptions):
    """``none``: 0 everywhere, every change of a message unit is sent. ``fixed``: ``value``, in
    units of the scaled activation, in every layer, as a network trained in slayer has it.
    ``percentile``: in each layer the magnitude below which ``percent`` of its changes lie.
    ``mean-delta``: in each layer ``factor`` times the mean magnitude of its changes.
    ``rate-distortion``: fewest operations at a mean displacement of ``budget_px``, with the layers
    that ``memory`` allows to remember. ``bits``: binary places of thresholds beyond netx's 1/64.
    """

    rule: ThresholdRule = ThresholdRule.NONE
    # Messages reach 512 with a spike_exp of 0, and less with any other.
    value: float = number(0.1, at_least=0, at_most=512, option="--threshold")
    percent: float = number(50.0, at_least=0, at_most=100, option="--percentile")
    # No change is a thousand times the mean change of a layer with more than a few neurons.
    factor: float = number(1.0, at_least=0, at_most=1000, option="--factor")
    # Joints of a picture of 260x344 cannot move by more than 431 px.
    budget_px: float = number(0.1, above=0, at_most=1000, unit="px", option="--budget-px")
    memory: Memory = Memory.ALL
    bits: int = number(0, at_least=0, at_most=6, option="--threshold-bits")


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
