"""A layer's curve: operations and output error for each of its candidate thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

Memory = Literal["all", "mixed", "none"]
"""Which layers are stateful."""

STATEFUL, MEMORYLESS = 0, 1
"""Rows of a curve."""
_LOWEST, _HIGHEST = 0.01, 2.5  # range of the thresholds tried besides 0, times the rms


@dataclass(frozen=True, eq=False)
class LayerCurve:
    """One layer's curves over its ladder of ``thresholds`` int64 [K], 0 first. They are in the
    grid's unit, for the input in message units.

    The others are [2, K]: stateful, memoryless. ``events`` and ``operations`` per frame; ``error``:
    energy per frame of what the receivers lack; ``output_error``: energy per frame of the error at
    the network's output, in the original network's units. It is infinite where it was not measured,
    so that no threshold of unknown effect is chosen. ``group``: curves of the same number are of
    layers that are stateful or memoryless together; None for one that is either by itself.
    ``message_cost``: operations that a message itself is worth.
    """

    thresholds: NDArray[np.int64]
    events: FloatArray
    operations: FloatArray
    error: FloatArray
    output_error: FloatArray
    group: int | None = None
    message_cost: float = 0.0

    def __post_init__(self) -> None:
        # An error without any effect did not reach the output in the frames measured.
        unknown = (self.error > 0) & (self.output_error == 0)
        object.__setattr__(self, "output_error", np.where(unknown, np.inf, self.output_error))

    @property
    def costs(self) -> FloatArray:
        """Operations per frame [2, K], and what its messages are worth in operations."""
        return self.operations + self.message_cost * self.events

    def unmeasured(self, kinds: Sequence[int]) -> bool:
        """Whether thresholds would cause an error in each of the rows ``kinds``, and its effect on
        the output was measured for none of them.
        """
        error, output_error = self.error[list(kinds)], self.output_error[list(kinds)]
        return bool((error > 0).any(axis=1).all() and np.isinf(output_error[error > 0]).all())


def error_gain(
    thresholds: NDArray[np.int64],
    probed: Sequence[int],
    output_error: FloatArray,
    injected: FloatArray,
) -> FloatArray:
    """The error gain [K]: energy at the output per energy of a layer's error.

    It is interpolated over the logarithm of the threshold. ``injected`` and ``output_error``:
    energies of the errors sent, and of their effect at the output, at the ``probed`` places of
    ``thresholds``. A probe without any error or effect measured nothing: the gain is infinite for
    its threshold and larger ones, unless a larger one was measured.
    """
    gain = np.full(len(thresholds), np.inf)
    measured = (injected > 0) & (output_error > 0)
    if not measured.any():
        return gain
    logs = np.log(np.maximum(thresholds, 0.5))
    at = logs[np.array(probed)[measured]]
    known = np.exp(np.interp(logs, at, np.log(output_error[measured] / injected[measured])))
    unmeasured = [place for place, is_known in zip(probed, measured, strict=True) if not is_known]
    end = min((k for k in unmeasured if logs[k] > at.max()), default=len(thresholds))
    gain[:end] = known[:end]
    return gain


def threshold_ladder(rms: float) -> NDArray[np.int64]:
    """0 and whole numbers about half an octave apart, from 1% to 250% of ``rms``; 0 alone for an
    ``rms`` of 0.
    """
    if rms == 0:
        return np.zeros(1, np.int64)
    top = max(1.0, _HIGHEST * rms)
    steps = np.arange(0, 2 * np.log2(top) + 1)
    values = np.unique(np.rint(2.0 ** (steps / 2)).astype(np.int64))
    tried = (values <= np.ceil(top)) & (values >= _LOWEST * rms)
    return np.concatenate([[0], values[tried]])
