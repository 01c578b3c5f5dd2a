"""State of a training run: what a resumed run needs, read without executing anything in it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

import pydantic
import torch
from torch import Tensor

from ann2sdnn.support.errors import Ann2SdnnError, ModelError
from ann2sdnn.support.files.json_text import first_fault
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.nested import read_nested, write_nested
from ann2sdnn.support.training.options import RunOptions

_STRICT = pydantic.ConfigDict(
    strict=True,
    extra="forbid",
    allow_inf_nan=False,
    arbitrary_types_allowed=True,
    revalidate_instances="always",
)

_State = TypeVar("_State", bound="RunState")
_Content = (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError)


def _finite(tensor: Tensor) -> Tensor:
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("the tensor is not finite")
    return tensor


Weights = Annotated[
    dict[str, Annotated[Tensor, pydantic.AfterValidator(_finite)]], pydantic.Field(min_length=1)
]


@dataclass(frozen=True)
class EpochRow:
    """Base of the rows of a run's history."""

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = _STRICT

    epoch: int
    """Number of the epoch."""


@dataclass(kw_only=True)
class RunState:
    """Everything that a run needs to continue as if it had never stopped.

    It holds no random state: initial weights, order and augmentation follow from the seed, the
    epoch and the sample. A subclass narrows the types of ``options`` and ``history`` and adds
    fields; ``schema`` is the version of its file, ``first_epoch`` the epoch of its first row.
    """

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = _STRICT
    schema: ClassVar[int]
    first_epoch: ClassVar[int] = 1

    options: RunOptions
    data: dict[str, int]
    """Fingerprint of the data: number of frames per sequence."""
    weights: Weights
    """State dict of the module that learns."""
    optimizer: dict[str, Any]
    """State dict of its optimizer; empty before the first step."""
    epoch: int = 0
    """Epochs that are finished."""
    step: int = 0
    """Steps that are made."""
    history: list[Any] = field(default_factory=list)
    """One row per finished epoch."""

    def __post_init__(self) -> None:
        rows = [row.epoch for row in self.history]
        expected = [*range(self.first_epoch, self.epoch + 1)]
        if self.step < 0 or ((rows or self.epoch) and rows != expected):
            raise ValueError(f"a history of the epochs {rows} after epoch {self.epoch}")

    def plain(self) -> dict[str, Any]:
        """Options and history as values that JSON can hold."""
        return {"options": self.options.to_json(), "history": [asdict(row) for row in self.history]}


def write_state(path: Path, state: RunState) -> None:
    """Replace the file ``path`` by ``state`` in one step; raises what ``atomic_file`` raises."""
    plain = state.plain()
    names = [own.name for own in fields(state) if own.name not in plain]
    others = {name: getattr(state, name) for name in names}
    write_nested(path, {"schema": state.schema, "json": json.dumps(plain), **others})


def read_state(path: Path, kind: type[_State]) -> _State:
    """The state in ``path``; raises ModelError where it is damaged or of another kind."""
    refuse_lfs_pointer(path, ModelError)
    try:
        return _parsed(read_nested(path), kind)
    except pydantic.ValidationError as error:
        reason = f"unexpected content, {first_fault(error)}"
    except (OSError, RuntimeError) as error:
        reason = _first_line(error)
    except _Content as error:
        reason = f"unexpected content, {_first_line(error)}"
    except Ann2SdnnError as error:  # options that contradict each other
        reason = str(error)
    raise ModelError(
        f"{path} cannot be read ({reason}); train again with --force instead of --resume"
    )


def _parsed(content: Any, kind: type[_State]) -> _State:
    others = dict(content)
    schema, plain = others.pop("schema"), others.pop("json")
    if schema != kind.schema:
        raise ValueError(f"schema {schema}, this version writes {kind.schema}")
    hints, values = get_type_hints(kind), json.loads(plain)
    for name in ("options", "history"):
        text = json.dumps(values[name])
        others[name] = pydantic.TypeAdapter(hints[name]).validate_json(text)
    for name in (own.name for own in fields(kind)):
        if name not in others:  # also where the class has a default
            raise KeyError(f"no {name}")
    return pydantic.TypeAdapter(kind).validate_python(kind(**others))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def resuming(path: Path) -> Iterator[None]:
    """Raise ModelError where the state in ``path`` does not fit the network that is trained."""
    try:
        yield
    except (RuntimeError, *_Content) as error:
        raise ModelError(
            f"{path} does not fit the network that is trained ({_first_line(error)}); train again"
            " with --force instead of --resume"
        ) from error


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load ``state`` into ``optimizer``; raises ValueError where it does not fit its parameters."""
    optimizer.load_state_dict(dict(state))
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if not isinstance(value, Tensor):
                continue
            if value.dim() and value.shape != parameter.shape:
                raise ValueError(f"{name} of the optimizer has the shape {list(value.shape)}")
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} of the optimizer is not finite")
