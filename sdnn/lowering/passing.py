"""What a layer's carried channels let pass where the whole layer has one threshold, as in netx.

A message of a carried plane is as large as the threshold of that plane's own layer in the file, or
as the input's gain, so a layer with a lower threshold passes it on too.
"""

from collections.abc import Sequence

from ann2sdnn.sdnn.lowering.pooling import Part
from ann2sdnn.sdnn.spec.grid import SHIFT
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


def passing_thresholds(
    spec: Spec, parts: Sequence[Part], layers: Sequence[SpecLayer]
) -> tuple[int | None, ...]:
    """For each of the lowered ``layers`` of ``spec`` the largest threshold, in units of the state,
    with which its carried channels send every message on; None for a layer without such channels.
    """
    bits = SHIFT + spec.grid.spike_exp  # of netx' thresholds, 1/64, in units of the state
    smallest = [_smallest_input(spec)]
    thresholds: list[int | None] = []
    for part, layer in zip(parts, layers, strict=True):
        planes = set(part.carried[:, 0].tolist())
        passing = min(smallest[plane] for plane in planes) << layer.shift if planes else None
        thresholds.append(passing)
        own = layer.state_threshold(spec.grid)
        if passing is not None:
            own = min(own, passing >> bits << bits)
        smallest.append(max(1, own >> layer.shift))
    return tuple(thresholds)


def _smallest_input(spec: Spec) -> int:
    """In message units. Two halves of a value with a sign can change by less than the value."""
    code = spec.input_code
    return int(code.gain) if code.is_plain else 1
