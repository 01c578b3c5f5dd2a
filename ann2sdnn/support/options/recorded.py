"""Options of a training that are kept with it, as a base for frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar

from ann2sdnn.support.options.fields import CheckedOptions

_Options = TypeVar("_Options", bound="RecordedOptions")


@dataclass(frozen=True)
class RecordedOptions(CheckedOptions):
    """``changeable``: fields that a resumed run may change: they say how long, how fast or what is
    shown, not what is computed.
    """

    changeable: ClassVar[tuple[str, ...]] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields as values JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls: type[_Options], values: Mapping[str, Any]) -> _Options:
        """Options from ``to_json``'s values after a trip through JSON, which has no tuples."""
        tuples: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**tuples)

    def differences(self, other: "RecordedOptions") -> tuple[str, ...]:
        """Names of the fields that differ and that a resumed run may not change."""
        names = [one.name for one in fields(self) if one.name not in self.changeable]
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))
