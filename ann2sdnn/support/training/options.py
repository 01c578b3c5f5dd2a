"""Options that a training run records, and that a resumed run may change only in part."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, number, random_seed
from ann2sdnn.support.options.limits import MOST_MINUTES, MOST_STEPS

_Options = TypeVar("_Options", bound="RunOptions")


@dataclass(frozen=True)
class RunOptions(CheckedOptions):
    """Options of a training run; raises UsageError for values that cannot work.

    ``changeable``: fields that a resumed run may change, because they do not change a step.
    """

    panel = "Training"
    changeable: ClassVar[tuple[str, ...]] = ()
    # Read by pydantic, which checks recorded options.
    __pydantic_config__: ClassVar[Any] = {"strict": True, "extra": "forbid"}

    epochs: int
    """Number of epochs."""
    learning_rate: float
    """Learning rate at the beginning."""
    max_steps: int | None = number(None, at_least=1, at_most=MOST_STEPS, option="--max-steps")
    """Stop after this number of steps; schedules then end there."""
    max_minutes: float | None = number(
        None, above=0, at_most=MOST_MINUTES, unit="minutes", option="--max-minutes"
    )
    """Stop after this time; schedules then follow the time, so that two runs differ."""
    seed: int = random_seed(0)
    """Seed of the initial weights and of the order and windows of samples."""

    @classmethod
    def with_changes(cls: type[_Options], changes: Mapping[str, Any]) -> _Options:
        """The defaults with ``changes``."""
        return cls(**changes)

    def to_json(self) -> dict[str, Any]:
        """The fields as values that JSON can hold."""
        return asdict(self)

    def refuse_changes(self: _Options, now: _Options, run: Path) -> None:
        """Raise UsageError where ``now`` changes a field that the resumed ``run`` must keep."""
        for name in (own.name for own in fields(self) if own.name not in self.changeable):
            before, after = getattr(self, name), getattr(now, name)
            if before != after:
                raise UsageError(
                    f"{run} was started with another {name} ({before}, now {after});"
                    " resume with the same options or start a new run"
                )
