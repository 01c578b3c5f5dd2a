"""Channels whose pre-activations reach out further than what they send: bits lost to messages."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.statistics import LayerStatistics
from ann2sdnn.calibration.scales.plan import LayerPlan
from ann2sdnn.convert.report.layer import StateBound
from ann2sdnn.sdnn.spec.spec import Grid

_FULL = 0.98  # of what headroom leaves of a range
_WASTED_BITS = 0.1  # fewer are not worth a word


def state_bound(
    seen: LayerStatistics,
    plan: LayerPlan,
    grid: Grid,
    headroom: float,
    bias: NDArray[np.floating[Any]] | None = None,
) -> StateBound | None:
    """The channels whose state is full while their messages are not; None where there are none.

    ``bias`` [O] in the network's units: the state is the pre-activation without it.
    A state may be larger than the largest message by the bits that it has more; a channel with
    pre-activations further out, mostly negative ones, is scaled for them.
    """
    state = seen.state_peak * plan.scale / grid.state_limit
    message = seen.message_peak * plan.sent / grid.message_limit
    heard = (message > 0) & (state * headroom > _FULL)
    wasted = np.where(heard, np.log2(np.where(heard, state / np.maximum(message, 1e-30), 1)), 0)
    bound = wasted > _WASTED_BITS
    if not bound.any():
        return None
    worst = int(np.argmax(wasted))
    ends = [float(seen.z_min[worst]), float(seen.z_max[worst])]
    if bias is not None:
        ends += [end - float(bias[worst]) for end in ends]
    return StateBound(
        channels=int(bound.sum()),
        channel=worst,
        preactivation_ann=max(reversed(ends), key=abs),
        activation_ann=float(seen.a_max[worst]),
        wasted_bits=float(wasted[worst]),
    )
