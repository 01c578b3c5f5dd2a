"""Gains that the input may have: message units per count.

A count is 1 for uint8 pixels. For float32 values it is 1/255 of the largest magnitude, less the
mean, that calibration saw.
"""

from dataclasses import dataclass

import numpy as np

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.scales.plan import LARGEST_GAIN, FloatArray
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.preprocessing import COUNTS
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX
from ann2sdnn.sdnn.spec.input_code import LEVEL_MAX
from ann2sdnn.support.errors import ConversionError

FLOAT_HEADROOM = 4
"""The largest float32 value that a message holds over the largest that calibration saw, at least.
Later layers have less."""


@dataclass(frozen=True, eq=False)
class InputGains:
    """The largest gain, and what a gain makes of the mean."""

    count: float
    """Value of a count."""
    means: FloatArray
    """[C] in counts; empty without a mean."""
    most: int

    def chosen(self, wanted: float) -> int:
        """The whole gain for ``wanted``, that of least noise."""
        return int(np.clip(np.floor(wanted + 1e-6), 1, self.most))

    def offset(self, gain: int) -> tuple[int, ...]:
        """[C]: the means in message units, rounded; none without a mean."""
        return tuple(int(units) for units in np.rint(self.means * gain))


def input_gains(evidence: Evidence) -> InputGains:
    """The limits for the frames that were measured.

    Raises ConversionError for a mean so far from all pixels that no message holds the difference,
    and for float32 frames without any value.
    """
    graph = evidence.graph
    if graph.preprocessing.dtype != "uint8":
        largest = max(seen.input_peak for seen in evidence.all_measured)
        if largest == 0:
            raise ConversionError(
                "all values of the calibration frames are 0 after the mean is subtracted; calibrate"
                " on frames that show something"
            )
        count = largest / graph.input_scale / COUNTS
        most = LEVEL_MAX // (COUNTS * FLOAT_HEADROOM)
        return InputGains(count, _means(graph, count), most)
    means = _means(graph, 1.0)
    if not means.size:
        return InputGains(1.0, means, LARGEST_GAIN)
    reach = max(COUNTS, float(np.abs(means).max()), float(np.abs(COUNTS - means).max()))
    most = int((MESSAGE_MAX - 1) / reach)
    if most < 1:
        raise ConversionError(
            f"a mean of {float(np.abs(means).max()):.4g} counts is too far from the pixels, 0 to"
            " 255, for 16-bit messages; check --input-mean and --input-scale"
        )
    return InputGains(1.0, means, most)


def _means(graph: Graph, count: float) -> FloatArray:
    return np.array(graph.preprocessing.mean, np.float64) / (graph.input_scale * count)
