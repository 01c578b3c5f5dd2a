"""Operating points to choose from while the network runs: the conversion's, and scaled ones."""

from dataclasses import dataclass

from ann2sdnn.sdnn.spec.points import OperatingPoints, with_point
from ann2sdnn.sdnn.spec.spec import Spec

_FACTORS = (0.0, 0.5, 2.0, 4.0)


@dataclass(frozen=True, eq=False)
class LivePoint:
    """Thresholds and memory that the running network can change to."""

    name: str
    """A few words."""
    meaning: str
    """Where the thresholds come from, in a sentence."""
    spec: Spec


def live_points(points: OperatingPoints) -> tuple[tuple[LivePoint, ...], int]:
    """The operating points in order, and the index of the converted one.

    First lava's with thresholds times 0, 1/2, 1, 2 and 4, then the engine's own and the memoryless
    one where the conversion has them. Factors that round to thresholds of another point are left
    out: a conversion without thresholds has nothing to scale.
    """
    made: dict[tuple[int, ...], LivePoint] = {}
    converted = LivePoint(
        "as converted",
        "The thresholds that the conversion chose for its budget; the point that lava runs.",
        points.lava,
    )
    made[_thresholds(points.lava)] = converted
    for factor in _FACTORS:
        spec = _scaled(points.lava, factor)
        made.setdefault(_thresholds(spec), LivePoint(_name(factor), _meaning(factor), spec))
    ordered = sorted(made.items(), key=lambda item: sum(item[0]))
    scaled = [point for _, point in ordered]
    return (*scaled, *_others(points)), scaled.index(converted)


def keeps_state(before: Spec, after: Spec) -> bool:
    """Whether a network can go on with the state of ``before`` at the thresholds of ``after``.

    A stateful layer's receivers hold the sum of what it sent, whatever its threshold was; those of
    a memoryless layer hold nothing from the frame before.
    """
    return before.planes_are_stateful == after.planes_are_stateful


def _others(points: OperatingPoints) -> list[LivePoint]:
    others = []
    if points.engine is not None:
        others.append(
            LivePoint(
                "engine's own",
                "The conversion's point for the engine: layers are stateful where that saves"
                " operations, with thresholds for the same budget.",
                points.engine,
            )
        )
    if points.memoryless is not None:
        others.append(
            LivePoint(
                "memoryless",
                "No layer remembers the frame before; thresholds for the same budget. The SDNN is"
                " compared with this.",
                points.memoryless,
            )
        )
    return others


def _scaled(spec: Spec, factor: float) -> Spec:
    """``spec`` with thresholds times ``factor``, rounded, the input's included."""
    return with_point(
        spec,
        [round(factor * layer.threshold) for layer in spec.layers],
        [layer.is_stateful for layer in spec.layers],
        input_is_stateful=spec.input_is_stateful,
        input_threshold=round(factor * spec.input_threshold),
    )


def _thresholds(spec: Spec) -> tuple[int, ...]:
    return (spec.input_threshold, *(layer.threshold for layer in spec.layers))


def _name(factor: float) -> str:
    return "no thresholds" if factor == 0 else f"thresholds x {factor:g}"


def _meaning(factor: float) -> str:
    if factor == 0:
        return "Every change of an activation is sent, as far as the message grid shows it."
    return (
        f"The conversion's thresholds times {factor:g}. No budget was searched for them: the"
        " difference from the ANN is what this page measures."
    )
