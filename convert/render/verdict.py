"""The verdict on a conversion: which network needs how many operations, in one sentence.

It claims no win that the numbers do not show: the operating point that needs the fewest operations
is named, with its factor against each rival, and where lava's loses, the sentence says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ann2sdnn.sdnn.spec.points import Converted, cheaper
from ann2sdnn.support.terminal import compact

SDNN_NAME, LAVA_NAME, MIXED_NAME = "SDNN", "SDNN (lava)", "SDNN (engine, mixed)"
NONZERO_NAME = "ANN, non-zero weights"

_UNPRUNED = 0.99  # share of weights that are not zero, from which on it has no row of its own
_MOST_CHANGE = 1.0  # changed pixels per non-zero pixel: even if each moves, half of them do


class _Rival(NamedTuple):
    name: str
    synops: float


@dataclass(frozen=True)
class Comparable:
    """Operations per frame of all networks on the same frames; None for those that did not run."""

    dense: float | None
    skipping: float | None
    memoryless: float | None
    lava: float
    mixed: float | None
    changed_pixels: float | None
    """Pixels that change from frame to frame, per pixel that is not zero."""
    has_memoryless_point: bool
    """Whether the memoryless network has thresholds of its own, so that it can be used."""

    @property
    def best(self) -> Converted:
        """The operating point with the fewest operations."""
        return cheaper(self.lava, self.mixed)

    @property
    def rivals(self) -> tuple[_Rival, ...]:
        """The networks to compare with, without those that did nothing."""
        named = (
            ("the dense ANN", self.dense),
            ("the ANN that skips zeros", self.skipping),
            ("the memoryless network", self.memoryless),
        )
        return tuple(_Rival(name, synops) for name, synops in named if synops)


def is_pruned(dense: float, nonzero: float) -> bool:
    """Whether the operations by non-zero weights differ from the dense ones by 1% or more."""
    return nonzero <= _UNPRUNED * dense


def point_name(comparable: Comparable, point: Converted) -> str:
    """The name of an operating point in tables and sentences."""
    if point == "mixed":
        return MIXED_NAME
    return SDNN_NAME if comparable.mixed is None else LAVA_NAME


def verdict(comparable: Comparable, where: str, error: str | None = None) -> str:
    """The sentence. ``where``: "On 8 frames"; ``error``: of the best point, such as "0.1 px from
    the ANN".
    """
    best, mixed = comparable.best, comparable.mixed
    synops = mixed if best == "mixed" and mixed is not None else comparable.lava
    name = point_name(comparable, best)
    at = f", {error}" if error else ""
    if synops == 0:
        return f"{where} nothing changes after the first frame: the {name} needs no operations{at}."
    lost = _lost(comparable, synops)
    factors = _listed(
        [f"{times(rival.synops / synops)} {rival.name}" for rival in comparable.rivals]
    )
    if lost:
        return (
            f"{where} the SDNN does not pay: the {name} needs {compact(synops)} operations per"
            f" frame, {factors}{at}, because {_reason(comparable)}; {_advice(comparable)}."
        )
    sentence = f"{where} the {name} needs {compact(synops)} operations per frame, {factors}{at}"
    return sentence + "".join(_lava_loses(comparable)) + "."


def _lava_loses(comparable: Comparable) -> Iterator[str]:
    """The end of the sentence where the engine's point wins and lava's does not."""
    lost = _lost(comparable, comparable.lava)
    if comparable.best == "mixed" and lost:
        than = _listed([f"{times(rival.synops / comparable.lava)} {rival.name}" for rival in lost])
        yield (
            f"; lava's operating point needs {than}, because {_reason(comparable)}, so run this"
            " data in the engine"
        )


def _lost(comparable: Comparable, synops: float) -> tuple[_Rival, ...]:
    """Rivals that need fewer operations than ``synops``, or about as many."""
    return tuple(rival for rival in comparable.rivals if not _is_fewer(rival.synops / synops))


def _reason(comparable: Comparable) -> str:
    changed = comparable.changed_pixels
    if changed is not None and changed >= _MOST_CHANGE:
        return (
            "most non-zero pixels change from frame to frame"
            f" ({100 * changed:.0f} changes per 100 of them)"
        )
    return "as many values change from frame to frame as are not zero, or more"


def _advice(comparable: Comparable) -> str:
    if comparable.has_memoryless_point:
        return "on such data use the memoryless operating point"
    return (
        "convert with a budget, which looks for memoryless layers, or show it overlapping windows"
    )


def times(factor: float) -> str:
    """``factor``, operations of a rival over those of the SDNN, in words."""
    if _is_equal(factor):
        return "about as many as"
    if factor > 1:
        return f"{two_digits(factor)} times fewer than"
    return f"{two_digits(1 / factor)} times more than"


def _is_fewer(factor: float) -> bool:
    return factor > 1 and not _is_equal(factor)


def _is_equal(factor: float) -> bool:
    return "1" in (two_digits(factor), two_digits(1 / factor))


def two_digits(factor: float) -> str:
    """A factor with two significant digits."""
    return f"{factor:.0f}" if factor >= 9.95 else f"{factor:.2g}"


def _listed(parts: list[str]) -> str:
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)
