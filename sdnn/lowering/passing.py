"""What a layer's carried channels let pass where the whole layer has one threshold, as in netx.

A message of a carried plane is as large as that plane's own threshold, or the input's gain, so a
layer with a lower threshold passes it on too.
"""

from collections.abc import Sequence

from ann2sdnn.sdnn.lowering.pooling import Part
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


def passing_thresholds(
    spec: Spec, parts: Sequence[Part], layers: Sequence[SpecLayer]
) -> tuple[int | None, ...]:
    """For each of the lowered ``layers`` of ``spec`` the largest threshold, in units of the state,
    with which its carried channels send every message on; None for a layer without such channels.
    """
    smallest = [_smallest_input(spec), *(_smallest_message(layer, spec) for layer in layers)]
    thresholds: list[int | None] = []
    for part, layer in zip(parts, layers, strict=True):
        planes = set(part.carried[:, 0].tolist())
        thresholds.append(min(smallest[p] for p in planes) << layer.shift if planes else None)
    return tuple(thresholds)


def _smallest_input(spec: Spec) -> int:
    """In message units. Two halves of a value with a sign can change by less than the value."""
    code = spec.input_code
    return int(code.gain) if code.is_plain else 1


def _smallest_message(layer: SpecLayer, spec: Spec) -> int:
    return max(1, layer.state_threshold(spec.grid) >> layer.shift)
