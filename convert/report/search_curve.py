"""The search for a budget as report.json holds it: every trial's operations and displacement."""

from pathlib import Path
from typing import TypeVar

import pydantic

from ann2sdnn.calibration.thresholds.curves import Memory
from ann2sdnn.calibration.thresholds.units import Unit
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.json_text import first_fault

_P = TypeVar("_P", bound=pydantic.BaseModel)


class _Part(pydantic.BaseModel):
    """A part of the report, of which other keys are left out."""

    model_config = pydantic.ConfigDict(frozen=True)


class _Added(_Part):
    value: float


class _Chosen(_Part):
    synops_per_frame: float
    added: _Added | None = None


class SearchTrial(_Part):
    """One run of the search. ``synops_per_frame``: without each run's first frame; ``added``: what
    the thresholds add to the error, in the budget's unit.
    """

    memory: Memory
    synops_per_frame: float
    added: float


class SearchCurve(_Part):
    """The trials, the budget that bounds them, in one of three units, and the choice of each
    memory: ``remembering``, ``mixed``, ``memoryless``.

    Reports of earlier versions have no trials.
    """

    budget_px: float | None = None
    budget_error: float | None = None
    budget_class: float | None = None
    remembering: _Chosen | None = None
    mixed: _Chosen | None = None
    memoryless: _Chosen | None = None
    engine_has_its_own: bool = False
    trials: tuple[SearchTrial, ...] = ()

    @property
    def budget(self) -> float | None:
        """The limit of ``added``."""
        limits = (self.budget_px, self.budget_class, self.budget_error)
        return next((limit for limit in limits if limit is not None), None)

    @property
    def unit(self) -> Unit:
        """The unit of the budget and of ``added``."""
        if self.budget_px is not None:
            return "px"
        return "error" if self.budget_class is None else "class"

    def of(self, memory: Memory) -> tuple[tuple[float, float], ...]:
        """(added, operations) of the trials with this ``memory``, by what they add."""
        return tuple(
            sorted(
                (trial.added, trial.synops_per_frame)
                for trial in self.trials
                if trial.memory == memory
            )
        )

    def chosen(self, memory: Memory) -> tuple[float, float] | None:
        """(added, operations) of the operating point with this ``memory``; None without one."""
        engine = self.mixed if self.engine_has_its_own else None
        choices = {"all": self.remembering, "mixed": engine, "none": self.memoryless}
        choice = choices[memory]
        if choice is None or choice.added is None:
            return None
        return choice.added.value, choice.synops_per_frame


class _Report(pydantic.BaseModel):
    threshold_budget: SearchCurve | None = None


def read_search_curve(path: Path) -> SearchCurve | None:
    """The search in the report ``path``, of this version or an earlier one.

    None where there is no report or no search. Raises ModelError for a damaged report.
    """
    report = read_part(path, _Report)
    found = None if report is None else report.threshold_budget
    return found if found is not None and found.trials else None


def read_part(path: Path, part: type[_P]) -> _P | None:
    """What the class ``part`` has of the report ``path``; None where there is no report.

    Raises ModelError for a damaged report.
    """
    if not path.is_file():
        return None
    try:
        return part.model_validate_json(path.read_text(encoding="utf-8"))
    except pydantic.ValidationError as error:
        raise ModelError(
            f"{path} is no conversion report ({first_fault(error)}); convert again"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error}); convert again") from error
