"""The units of a budget: their defaults, and how amounts in them are written.

A budget bounds what thresholds add: a displacement of joints in pixels ("px"), a share of frames
whose class changes ("class"), or a relative L2 error of the output ("error").
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["px", "class", "error"]


@dataclass(frozen=True)
class UnitForm:
    """``default``: the budget without an option. ``error``: relative error of the output at which
    the search begins, per unit of the budget. ``power``: amounts grow about with this power of the
    output's error. ``suffix``: after an amount; ``is_share``: amounts are written in per cent.
    ``called``: what a budget bounds. ``heading``: of a column. ``axis``: of a plot. ``does``: what
    thresholds do, in a sentence after "thresholds that".
    """

    default: float
    error: float
    power: float
    called: str
    heading: str
    axis: str
    does: str = "add {}"
    suffix: str = ""
    is_share: bool = False

    def amount(self, value: float, form: str) -> str:
        """``value`` with its unit; ``form`` such as ".2g"."""
        return f"{self.number(value, form)}{self.suffix}"

    def number(self, value: float, form: str) -> str:
        """``value`` without a unit but per cent."""
        return f"{100 * value:{form}}%" if self.is_share else f"{value:{form}}"


UNITS: dict[Unit, UnitForm] = {
    "px": UnitForm(
        default=0.2,
        error=1 / 4.5,
        power=4 / 3,
        called="displacement",
        heading="px added",
        axis="displacement that thresholds add [px]",
        suffix=" px",
    ),
    "class": UnitForm(
        default=0.005,
        error=4.0,
        power=1.0,
        called="class changed",
        heading="changed",
        axis="frames whose class thresholds change [%]",
        does="change the class of {} of the frames",
        is_share=True,
    ),
    "error": UnitForm(
        default=0.02,
        error=1.0,
        power=1.0,
        called="relative error",
        heading="error added",
        axis="relative error that thresholds add",
    ),
}

TASK_UNITS: dict[str, Unit] = {
    "pose": "px",
    "classify": "class",
    "regress": "error",
    "output": "error",
}
"""The unit of the default budget, by what the network is for."""
