"""The file that a training is picked up from again: read without executing anything in it."""

import json
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import torch

from ann2sdnn.support.errors import Ann2SdnnError, ModelError, OutputError
from ann2sdnn.support.files.json_text import first_fault
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.options.recorded import RecordedOptions

_State = TypeVar("_State")
_Row = TypeVar("_Row")
_Options = TypeVar("_Options", bound=RecordedOptions)
_Content = (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError)


def write_tensors(path: Path, content: Mapping[str, Any], *, force: bool = True) -> None:
    """Write ``content`` as torch does, in one step; raises what ``atomic_file`` raises."""
    with atomic_file(path, force=force) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # what torch makes of a full disk, without saying so
            raise OutputError(f"cannot write {path}: the disk may be full") from error


def read_state(path: Path, parse: Callable[["Content"], _State]) -> _State:
    """What ``parse`` makes of the content of ``path``; ModelError when either is damaged.

    ``parse`` may raise KeyError, TypeError or ValueError for content it does not expect.
    """
    refuse_lfs_pointer(path, ModelError)
    try:
        return parse(Content(torch.load(path, map_location="cpu", weights_only=True)))
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    except _Content as error:
        reason = f"unexpected content, {str(error).splitlines()[0] if str(error) else error!r}"
    except Ann2SdnnError as error:  # options that contradict each other
        reason = str(error)
    raise ModelError(
        f"{path} cannot be read ({reason}); train again with --force instead of --resume"
    )


class Content:
    """The fields of such a file; every method raises KeyError or ValueError for another type."""

    def __init__(self, fields: Any) -> None:
        if not isinstance(fields, dict):
            raise ValueError(f"a {type(fields).__name__} where a dict is expected")
        self._fields = fields

    def require_schema(self, schema: int) -> None:
        """Raise ValueError for a file of another schema."""
        if self._fields.get("schema") != schema:
            raise ValueError(f"schema {self._fields.get('schema')}, this version writes {schema}")

    def json(self, name: str) -> "Content":
        """A field that is JSON."""
        return Content(json.loads(self.text(name), parse_constant=_refuse_constant))

    def text(self, name: str) -> str:
        """A field that is a text."""
        return str(self._typed(name, str))

    def count(self, name: str) -> int:
        """A field that is a whole number, 0 or more."""
        value = self._typed(name, int)
        if value < 0 or isinstance(value, bool):
            raise ValueError(f"{name} is {value}, expected 0 or more")
        return int(value)

    def number(self, name: str) -> float:
        """A field that is a finite number."""
        value = self._typed(name, (int, float))
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
        return float(value)

    def counts(self, name: str) -> dict[str, int]:
        """A field that is a dict of whole numbers."""
        values = self.table(name)
        if not all(isinstance(value, int) for value in values.values()):
            raise ValueError(f"{name} holds something that is no whole number")
        return values

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """A field that is a dict of finite tensors, at least one."""
        values = self.table(name)
        if not values:
            raise ValueError(f"{name} is empty")
        for key, value in values.items():
            if not isinstance(value, torch.Tensor) or not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name}.{key} is no tensor of finite numbers")
        return values

    def table(self, name: str) -> dict[str, Any]:
        """A field that is a dict."""
        return dict(self._typed(name, dict))

    def rows(self, name: str, kind: type[_Row]) -> list[_Row]:
        """A field that is a list of the dataclass ``kind``."""
        values = self._typed(name, list)
        return [_typed_fields(kind(**value)) for value in values]

    def options(self, name: str, kind: type[_Options]) -> _Options:
        """A field that is what ``to_json`` made of options."""
        return _typed_fields(kind.from_json(self.table(name)))

    def _typed(self, name: str, kind: Any) -> Any:
        if name not in self._fields:
            raise KeyError(f"no {name}")
        value = self._fields[name]
        if not isinstance(value, kind):
            raise ValueError(f"{name} is a {type(value).__name__}")
        return value


def _typed_fields(value: _Row) -> _Row:
    """``value``, a dataclass; ValueError unless each field has its type."""
    adapter = pydantic.TypeAdapter(type(value))
    try:
        return adapter.validate_json(adapter.dump_json(value, warnings=False), strict=True)
    except pydantic.ValidationError as error:
        raise ValueError(first_fault(error)) from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number")


@contextmanager
def resuming(path: Path) -> Iterator[None]:
    """Turn what torch raises where the state in ``path`` does not fit its network to ModelError."""
    try:
        yield
    except (RuntimeError, *_Content) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path} does not fit the network that is trained ({reason}); train again with --force"
            " instead of --resume"
        ) from error


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Give ``optimizer`` its ``state`` back; ValueError where that does not fit its parameters."""
    optimizer.load_state_dict(dict(state))
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if not isinstance(value, torch.Tensor):
                continue
            if value.dim() and value.shape != parameter.shape:
                raise ValueError(f"{name} of the optimizer has the shape {list(value.shape)}")
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} of the optimizer is not finite")
