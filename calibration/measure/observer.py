"""Running statistics of one layer of the float network, in a few compiled passes per frame."""

import math
from copy import copy

import numba
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.extremes import SMALL, FloatArray, FrameExtremes
from ann2sdnn.calibration.measure.histogram import N_BINS, Magnitudes, count_magnitudes
from ann2sdnn.graph.layers import Layer

Values = NDArray[np.float32]

_BANDS = 8  # of rows, which threads share
_NOTHING = np.zeros((0, 0, 0), np.float32)


class LayerObserver:
    """Extremes per channel and histograms of all values of ``layer``, frame by frame.

    ``z_min``, ``z_max``, ``a_max``, ``z_step``, ``a_step`` [O], ``values`` and ``changes``: as in
    ``LayerStatistics``.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        n_channels = layer.preactivation_shape[0]
        self.z_min = np.full(n_channels, np.inf, np.float32)
        self.z_max = np.full(n_channels, -np.inf, np.float32)
        self.a_max, self.z_step, self.a_step = np.zeros((3, n_channels), np.float32)
        self._counts = np.zeros((_BANDS, 2, N_BINS), np.int64)
        self._n_values = self._n_changes = 0
        # Pre-activation and output of the frame before, and of the step before the first frame.
        self._previous = self._waiting = (_NOTHING, _NOTHING)
        # Of pre-activations and of their changes, in a small layer.
        self._extremes: tuple[FrameExtremes, FrameExtremes] | None = None
        if math.prod(layer.preactivation_shape[1:]) <= SMALL:
            self._extremes = (FrameExtremes(n_channels), FrameExtremes(n_channels))
        self._n_runs = 0

    def again(self) -> "LayerObserver":
        """An observer that has seen the same time steps before the first frame, and no frame."""
        other = LayerObserver(self.layer)
        other.z_step, other.a_step = self.z_step.copy(), self.a_step.copy()
        other._waiting = self._waiting
        return other

    def start_run(self) -> None:
        """Begin a sequence: changes are never taken between sequences."""
        self._n_runs += 1
        self._previous = (_NOTHING, _NOTHING)
        for extremes in self._extremes or ():
            extremes.begin()

    def without_frames(self) -> "LayerObserver":
        """The same counts without the frames that the next would be compared with, which are large;
        for another process, which merges it.
        """
        other = copy(self)
        other._previous = other._waiting = (_NOTHING, _NOTHING)
        return other

    def merge(self, later: "LayerObserver") -> None:
        """Count what ``later`` has seen, which are other sequences."""
        self.z_min = np.minimum(self.z_min, later.z_min)
        for name in ("z_max", "a_max", "z_step", "a_step"):
            setattr(self, name, np.maximum(getattr(self, name), getattr(later, name)))
        self._counts += later._counts
        self._n_values += later._n_values
        self._n_changes += later._n_changes
        self._n_runs += later._n_runs
        for mine, theirs in zip(self._extremes or (), later._extremes or (), strict=True):
            mine.merge(theirs)

    def wait(self, z: Tensor, out: Tensor) -> None:
        """Add a time step before the first frame: pre-activation and output."""
        pair = as_pixels(z), as_pixels(out)
        self._first_step(*pair)
        self._waiting = pair

    def see(self, z: Tensor, out: Tensor) -> None:
        """Add one frame: the layer's pre-activation and output, each [1, C, H, W]."""
        pair = as_pixels(z), as_pixels(out)
        low, high, z_change, undefined = _ranges(pair[0], self._previous[0])
        self.z_min = np.minimum(self.z_min, low + undefined)
        self.z_max = np.maximum(self.z_max, high + undefined)
        if self._extremes is not None:
            self._extremes[0].add(pair[0])
            if self._previous[0].size:
                self._extremes[1].add(pair[0] - self._previous[0])
        largest, a_change = self._see_output(pair[1])
        self.a_max = np.maximum(self.a_max, largest)
        if self.layer.bias is not None:
            # The bias is added to the sum of the messages and is no part of it.
            self._add_steps(z=np.maximum(high - self.layer.bias, self.layer.bias - low))
        if self._previous[0].size:
            self._add_steps(z=z_change, a=a_change)
        else:
            self._add_steps(a=largest)
            if self._waiting[0].size:
                self._first_step(*pair)
        self._previous = pair

    def _see_output(self, out: Values) -> tuple[Values, Values]:
        """The largest magnitudes [C] of a frame's output and of its change; counts both."""
        before = self._previous[1]
        count_magnitudes(_rows(out), _rows(before), self._counts)
        self._n_values += out.size
        self._n_changes += before.size
        low, high, change, _ = _ranges(out, before)
        return np.maximum(high, -low), change

    def _first_step(self, z: Values, out: Values) -> None:
        """Add the state of a time step and what arrives in it after ``_waiting``, or nothing."""
        (low, high, z_change, _), (a_low, a_high, a_change, _) = (
            _ranges(values, before) for values, before in zip((z, out), self._waiting, strict=True)
        )
        self._add_steps(z=np.maximum(high, -low), a=np.maximum(a_high, -a_low))
        if self._waiting[0].size:
            self._add_steps(z=z_change, a=a_change)
        elif self.layer.bias is not None:
            self._add_steps(z=np.maximum(high - self.layer.bias, self.layer.bias - low))

    def _add_steps(self, z: Values | None = None, a: Values | None = None) -> None:
        if z is not None:
            self.z_step = np.maximum(self.z_step, z)
        if a is not None:
            self.a_step = np.maximum(self.a_step, a)

    @property
    def expected(self) -> tuple[FloatArray, FloatArray] | None:
        """What states and messages [O] may reach on other frames; None in a large layer."""
        if self._extremes is None:
            return None
        values, changes = (extremes.levels(self._n_runs) for extremes in self._extremes)
        if values is None:
            return None
        high, low = values
        step = changes or (np.zeros_like(high), np.zeros_like(high))
        bias = 0.0 if self.layer.bias is None else self.layer.bias.astype(np.float64)
        states = (high, -low, high - bias, bias - low, step[0], -step[1])
        # Where a neuron fires that was silent, it reaches about as far as its values spread.
        spread = (high - low) / 2
        messages = (high, spread) if self.layer.relu else (high, -low, step[0], -step[1])
        nothing = np.zeros_like(high)
        return np.maximum.reduce([*states, nothing]), np.maximum.reduce([*messages, nothing])

    @property
    def values(self) -> Magnitudes:
        """Of all outputs."""
        return Magnitudes(self._counts[:, 0].sum(axis=0), self._n_values)

    @property
    def changes(self) -> Magnitudes:
        """Of all changes of outputs from frame to frame."""
        return Magnitudes(self._counts[:, 1].sum(axis=0), self._n_changes)


def as_pixels(values: Tensor) -> Values:
    """[1, C, H, W] as [H, W, C]: a view where channels lie last in memory."""
    array: Values = values[0].permute(1, 2, 0).contiguous().numpy()
    return array


def _rows(values: Values) -> Values:
    return values.reshape(len(values), values.shape[1] * values.shape[2])


def _ranges(values: Values, before: Values) -> tuple[Values, Values, Values, Values]:
    """Per channel of ``values`` [H, W, C]: the smallest, the largest, the largest magnitude of the
    change from ``before``, which may be empty, and 0, or NaN where a value is not finite.
    """
    extremes = np.zeros((_BANDS, 4, values.shape[2]), np.float32)
    extremes[:, 0], extremes[:, 1] = np.inf, -np.inf
    _add_extremes(values, before, extremes)
    low, high, change, undefined = extremes.swapaxes(0, 1)
    return low.min(axis=0), high.max(axis=0), change.max(axis=0), undefined.max(axis=0)


@numba.njit(cache=True, parallel=True)
def _add_extremes(values, before, extremes):  # type: ignore[no-untyped-def]
    """What ``_ranges`` returns, for each of some bands of rows: ``extremes`` [bands, 4, C]."""
    height, width, n_channels = values.shape
    n_bands = len(extremes)
    for band in numba.prange(n_bands):
        low, high, change, undefined = extremes[band]
        for row in range(band * height // n_bands, (band + 1) * height // n_bands):
            for column in range(width):
                pixel = values[row, column]
                for c in range(n_channels):
                    low[c] = min(low[c], pixel[c])
                    high[c] = max(high[c], pixel[c])
                    undefined[c] += pixel[c] - pixel[c]
                if before.size:
                    earlier = before[row, column]
                    for c in range(n_channels):
                        change[c] = max(change[c], abs(pixel[c] - earlier[c]))
