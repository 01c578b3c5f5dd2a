"""The search for a budget as report.json holds it: every trial's operations and displacement."""

from pathlib import Path
from typing import Literal

import pydantic

from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.json_text import Record, first_fault

Memory = Literal["all", "mixed", "none"]
"""Layers that were stateful in a trial."""


class SearchTrial(Record):
    """One run of the search. ``synops_per_frame``: without each run's first frame; ``added_px``:
    displacement that the thresholds add, None for a budget of another unit.
    """

    memory: Memory
    synops_per_frame: float
    added_px: float | None


class SearchCurve(pydantic.BaseModel):
    """The trials, and the budget in pixels that bounds them; other keys of the search are left out.

    Reports of earlier versions have no trials.
    """

    model_config = pydantic.ConfigDict(frozen=True)

    budget_px: float | None = None
    trials: tuple[SearchTrial, ...] = ()

    def of(self, memory: Memory) -> tuple[tuple[float, float], ...]:
        """(added px, operations) of the trials with this ``memory``, by what they add."""
        return tuple(
            sorted(
                (trial.added_px, trial.synops_per_frame)
                for trial in self.trials
                if trial.memory == memory and trial.added_px is not None
            )
        )

    def chosen(self, memory: Memory) -> tuple[float, float] | None:
        """The trial with the fewest operations within the budget."""
        if self.budget_px is None:
            return None
        within = [trial for trial in self.of(memory) if trial[0] <= self.budget_px]
        return min(within, key=lambda trial: trial[1]) if within else None


class _Report(pydantic.BaseModel):
    threshold_budget: SearchCurve | None = None


def read_search_curve(path: Path) -> SearchCurve | None:
    """The search in the report ``path``, of this version or an earlier one.

    None where there is no report or no search. Raises ModelError for a damaged report.
    """
    if not path.is_file():
        return None
    try:
        found = _Report.model_validate_json(path.read_text(encoding="utf-8")).threshold_budget
    except pydantic.ValidationError as error:
        raise ModelError(
            f"{path} is no conversion report ({first_fault(error)}); convert again"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error}); convert again") from error
    return found if found is not None and found.trials else None
