"""Operating points: the same integers with thresholds and memory for different uses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from ann2sdnn.graph.layers import Synapse
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ModelError, UsageError

PointName = Literal["lava", "engine", "memoryless"]
POINT_NAMES: tuple[PointName, ...] = get_args(PointName)

Converted = Literal["sdnn", "mixed"]
"""An SDNN's operating points in results: lava's and the engine's."""

_OF_A_POINT = ("threshold", "is_stateful", "input_is_stateful", "input_threshold")


def cheaper(lava: float, mixed: float | None) -> Converted:
    """The operating point with fewer operations; ``mixed`` None where there is only lava's."""
    return "mixed" if mixed is not None and mixed < lava else "sdnn"


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """A converted network's operating points, which differ in thresholds and memory only.

    Raises ModelError for points that differ in anything else.
    """

    lava: Spec
    """Every layer is stateful, as slayer and lava need it; `network.net` is made from it. Networks
    of earlier versions may have memoryless layers here, which only the engine runs."""

    engine: Spec | None = None
    """Layers are stateful where that saves operations. Only the engine runs it. None where it is
    not clearly cheaper than ``lava`` on the calibration frames, or was not searched."""

    memoryless: Spec | None = None
    """No layer is stateful, thresholds for the same budget: what the SDNN is compared with. None
    where no budget was searched for; then ``lava``, reset before every frame, stands for it."""

    def __post_init__(self) -> None:
        for name, spec in self:
            if not _is_same_network(spec, self.lava):
                raise ModelError(
                    f"the operating point {name} is of another network than lava's; expected the"
                    " same integers with other thresholds and memory"
                )
        if self.memoryless is not None and _has_memory(self.memoryless):
            raise ModelError(
                "the operating point memoryless has stateful layers; expected none, the input"
                " included"
            )

    def __iter__(self) -> Iterator[tuple[PointName, Spec]]:
        """The names and specs of the points that there are."""
        for name in POINT_NAMES:
            spec = getattr(self, name)
            if spec is not None:
                yield name, spec

    def for_backend(self, backend: str, name: PointName | None = None) -> Spec:
        """The point ``name``; None: ``engine`` in the engine where there is one, else ``lava``.

        Raises UsageError for a point that this network does not have.
        """
        points = dict(self)
        if name is None:
            name = "engine" if backend == "engine" and "engine" in points else "lava"
        if name not in points:
            raise UsageError(
                f"this network has no operating point {name!r}; choose one of {', '.join(points)}"
            )
        return points[name]


def with_point(
    spec: Spec,
    thresholds: Sequence[int],
    stateful: Sequence[bool],
    *,
    input_is_stateful: bool,
    input_threshold: int = 0,
) -> Spec:
    """``spec`` with other thresholds and memory: one threshold and one flag per layer, and those of
    the input.

    Raises ModelError for another number of them than layers, and for values that no spec has.
    """
    for what, values in (("thresholds", thresholds), ("flags of memory", stateful)):
        if len(values) != len(spec.layers):
            raise ModelError(f"{len(values)} {what}; expected one for each of {len(spec.layers)}")
    layers = tuple(
        replace(layer, threshold=threshold, is_stateful=is_stateful)
        for layer, threshold, is_stateful in zip(spec.layers, thresholds, stateful, strict=True)
    )
    return replace(
        spec,
        layers=layers,
        input_is_stateful=input_is_stateful,
        input_threshold=input_threshold,
    )


def _has_memory(spec: Spec) -> bool:
    return spec.input_is_stateful or any(layer.is_stateful for layer in spec.layers)


def _is_same_network(first: Any, second: Any) -> bool:
    """Whether all fields but those of an operating point are equal, layer by layer."""
    if first is second:
        return True
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(_is_same_network, first, second))
    if isinstance(first, Spec | SpecLayer | Synapse) and type(first) is type(second):
        return all(
            _is_same_network(getattr(first, each.name), getattr(second, each.name))
            for each in fields(first)
            if each.name not in _OF_A_POINT
        )
    return bool(first == second)
