r"""The share of frames whose class changes, estimated from margins.

A few hundred frames count shares of a few per mille coarsely, often as 0. Every frame says more:
its margin :math:`m_i`, by which the largest output exceeds all others, and the loss :math:`l_i` of
that margin in the network that is judged. The class changes where :math:`l_i > m_i`. Taken as
independent of the margins, the losses of all frames are compared with the margins of all:

.. math::
    \text{share} = \frac{1}{n} \sum_j F(\max(l_j, 0)),

with F(t) the share of frames with a margin below t: k / (n + 1) at the k-th smallest of n margins,
linear between them and from 0 to the smallest. So a share below 1 / n has an estimate too, which
is never 0 where margins shrink.

Losses do depend on margins, by a factor of up to 1.5 in the share in networks that were measured
(docs/calibration.md), and a few sequences are a small sample. So a budget bounds the upper end of
the share's interval, and the count where there is one.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.displacement import bootstrap_interval

_Floats = NDArray[np.float64]

_COUNTABLE = 3  # changed frames from which on their share is believed


@dataclass(frozen=True)
class ClassChange:
    """``share``: estimated from margins, with its 95% ``interval`` where there are two groups or
    more; ``counted``: as counted on ``n_frames`` frames in which the reference has one largest
    output.
    """

    share: float
    interval: tuple[float, float] | None
    counted: float
    n_frames: int

    @property
    def bound(self) -> float:
        """What a budget bounds: the upper end of ``interval``, or the count where that is more.

        One or two changed frames are left to chance.
        """
        estimated = self.share if self.interval is None else self.interval[1]
        n_changed = round(self.counted * self.n_frames)
        return max(estimated, self.counted) if n_changed >= _COUNTABLE else estimated


class Margins:
    """Collects margins of the reference, and how much of them a network loses, by group."""

    def __init__(self) -> None:
        self._margins: defaultdict[str, list[_Floats]] = defaultdict(list)
        self._losses: defaultdict[str, list[_Floats]] = defaultdict(list)

    def add(self, group: str, reference: Tensor, outputs: Tensor) -> None:
        """Count outputs [n, K, 1, 1] of n frames, K at least 2."""
        before, after = (
            np.asarray(each, np.float64).reshape(len(each), -1) for each in (reference, outputs)
        )
        largest = before.argmax(axis=1)
        margin = _margin(before, largest)
        counts = margin > 0  # not NaN, and one output is the largest
        self._margins[group].append(margin[counts])
        self._losses[group].append((margin - _margin(after, largest))[counts])

    def result(self) -> ClassChange | None:
        """The share so far; None where no frame has a class."""
        margins = [np.concatenate(parts) for parts in self._margins.values()]
        losses = [np.concatenate(parts) for parts in self._losses.values()]
        sizes = np.array([len(each) for each in losses], np.float64)
        n_frames = int(sizes.sum())
        if not n_frames:
            return None
        ordered = np.concatenate([[0.0], np.sort(np.concatenate(margins))])
        shares = np.arange(n_frames + 1) / (n_frames + 1)
        changed = [np.interp(np.maximum(each, 0), ordered, shares).sum() for each in losses]
        counted = sum(int((lost > m).sum()) for lost, m in zip(losses, margins, strict=True))
        return ClassChange(
            share=float(sum(changed) / n_frames),
            interval=bootstrap_interval(np.array(changed), sizes),
            counted=counted / n_frames,
            n_frames=n_frames,
        )


def _margin(outputs: _Floats, largest: NDArray[np.int64]) -> _Floats:
    """[n]: the output ``largest`` [n] less the largest of the others; outputs [n, K]."""
    rows = np.arange(len(outputs))
    others = outputs.copy()
    others[rows, largest] = -np.inf
    return np.asarray(outputs[rows, largest] - others.max(axis=1), np.float64)
