"""Threshold rules: how large a change must be before a neuron sends it.

A threshold is a whole number of 1/64 of the scaled activation, as lava stores it.
"""

from dataclasses import dataclass
from enum import Enum

from ann2sdnn.calibration.statistics import Statistics
from ann2sdnn.errors import UsageError
from ann2sdnn.sdnn.spec import UNITS


class ThresholdRule(str, Enum):
    """How thresholds are chosen."""

    NONE = "none"
    FIXED = "fixed"
    PERCENTILE = "percentile"


@dataclass(frozen=True)
class ThresholdOptions:
    """``none``: 0 everywhere, every change of a message unit is sent. ``fixed``: ``value``, in
    units of the scaled activation, in every layer, as a network trained in slayer has it.
    ``percentile``: in each layer the magnitude below which ``percent`` of its changes lie.
    """

    rule: ThresholdRule = ThresholdRule.NONE
    value: float = 0.1
    percent: float = 50.0

    def __post_init__(self) -> None:
        if self.value < 0:
            raise UsageError(f"a threshold of {self.value}; expected 0 or more")
        if not 0 <= self.percent <= 100:
            raise UsageError(f"a percentile of {self.percent}; expected 0 to 100")


def choose_thresholds(
    options: ThresholdOptions, statistics: Statistics, output_scales: tuple[float, ...]
) -> tuple[int, ...]:
    """Thresholds [L] in 1/64. ``output_scales`` [L]: scaled over original activation, after
    pooling. The last layer's is 0: its messages go to the host and cost no operations.
    """
    if options.rule is ThresholdRule.FIXED:
        chosen = [int(options.value * UNITS)] * len(output_scales)
    elif options.rule is ThresholdRule.PERCENTILE:
        chosen = [
            int(layer.changes.percentile(options.percent) * scale * UNITS)
            for layer, scale in zip(statistics.layers, output_scales, strict=True)
        ]
    else:
        chosen = [0] * len(output_scales)
    chosen[-1] = 0
    return tuple(chosen)
