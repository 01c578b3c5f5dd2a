"""How a synapse is wired: which taps a message meets, and the weights in kernel order.

A message of input pixel (y, x) meets tap (i, j) of the kernel at output pixel (rows[y, i],
columns[x, j]). Convolutions, strided, dilated and transposed ones are all of this kind; a dense
synapse is a convolution whose kernel is as large as its input.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.kinds.kind import AxisTaps
from ann2sdnn.graph.layers import Synapse
from ann2sdnn.sdnn.spec.grid import WEIGHT_STEP

NOWHERE = -1
"""The tap falls outside the output, or between its pixels."""


@dataclass(frozen=True, eq=False)
class Wiring:
    """The wiring of one synapse for one size of frames.

    ``rows`` int64 [H, KH], ``columns`` int64 [W, KW]: the output row or column of each tap, or
    ``NOWHERE``. ``weights`` int16 [KH * KW, C, O / groups]: half of the spec's even integers.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.int16]
    groups: int

    @property
    def largest_sums(self) -> NDArray[np.int64]:
        """[O]: bounds of sums of products of ``weights`` with messages of magnitude 1."""
        magnitudes = np.abs(self.weights.astype(np.int64)).sum(axis=0)
        by_group = magnitudes.reshape(self.groups, -1, magnitudes.shape[1]).sum(axis=1)
        return np.asarray(by_group.reshape(-1), np.int64)

    @property
    def is_depthwise(self) -> bool:
        """Whether each input channel has outputs of its own."""
        return self.groups == self.weights.shape[1]

    @property
    def fan_out(self) -> NDArray[np.int64]:
        """[KH, KW, C]: weights that are not zero."""
        counts = np.asarray(np.count_nonzero(self.weights, axis=2), np.int64)
        return counts.reshape(self.rows.shape[1], self.columns.shape[1], -1)


def wire(synapse: Synapse) -> Wiring | None:
    """The wiring of ``synapse``; None for an operation that does not say where its taps fall."""
    geometry, shape = synapse.geometry, synapse.input_shape
    channels, height, width = shape
    if geometry.reads_flat:
        rows, columns = _to_one_pixel(height), _to_one_pixel(width)
    else:
        axes = [geometry.axis_taps(axis, shape, synapse.weight.shape) for axis in range(2)]
        if axes[0] is None or axes[1] is None:
            return None
        rows, columns = _outputs(axes[0]), _outputs(axes[1])
    parts = geometry.split(synapse.weight.astype(np.int64), channels)
    groups, n_out, n_in, n_taps = parts.shape
    weights = parts.transpose(3, 0, 2, 1).reshape(n_taps, groups * n_in, n_out) // WEIGHT_STEP
    return Wiring(rows, columns, np.ascontiguousarray(weights.astype(np.int16)), groups)


def _outputs(axis: AxisTaps) -> NDArray[np.int64]:
    """[inputs, kernel]: where each tap of each input pixel falls along ``axis``."""
    inputs, taps = np.arange(axis.input_size)[:, None], np.arange(axis.kernel)[None]
    if axis.transposed:
        outputs = axis.stride * inputs + axis.dilation * taps - axis.pad
        fits = np.ones_like(outputs, np.bool_)
    else:
        ahead = inputs - axis.dilation * taps + axis.pad
        outputs, fits = ahead // axis.stride, ahead % axis.stride == 0
    fits &= (outputs >= 0) & (outputs < axis.output_size)
    return np.where(fits, outputs, NOWHERE)


def _to_one_pixel(size: int) -> NDArray[np.int64]:
    """Input pixel i meets tap i at output 0."""
    return np.where(np.eye(size, dtype=np.bool_), 0, NOWHERE).astype(np.int64)
