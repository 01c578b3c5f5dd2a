"""Nested values with tensors as one safetensors file: all but the tensors is JSON beside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ann2sdnn.support.files.writing import atomic_file

_KEY = "nested"
_TENSOR, _TUPLE, _ITEMS = "tensor", "tuple", "items"


def write_nested(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` in one step; raises what ``atomic_file`` raises.

    ``value``: tensors, numbers, texts, None, and mappings, lists and tuples of such values. Raises
    TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_packed(value, "", tensors))
    content = save(tensors, metadata={_KEY: text})
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def read_nested(path: Path) -> Any:
    """The value in ``path``; raises OSError or ValueError for a file that holds none."""
    try:
        with safe_open(str(path), framework="pt") as file:
            # Copies, because the file may be replaced while they are used.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get(_KEY)
    except SafetensorError as error:
        raise ValueError(f"no safetensors file: {error}") from error
    if text is None:
        raise ValueError("it holds tensors only")
    try:
        return _unpacked(json.loads(text), tensors)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"damaged content, {error}") from error


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON can hold it; its tensors go to ``tensors`` by their path in it."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, Mapping):  # whose keys may be integers
        items = [[key, _packed(inner, f"{name}/{key}", tensors)] for key, inner in value.items()]
        return {_ITEMS: items}
    if isinstance(value, list | tuple):
        inner = [_packed(each, f"{name}/{at}", tensors) for at, each in enumerate(value)]
        return inner if isinstance(value, list) else {_TUPLE: inner}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which is neither tensor nor JSON")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == _TENSOR:
        return tensors[inner]
    if kind == _TUPLE:
        return tuple(_unpacked(each, tensors) for each in inner)
    if kind == _ITEMS:
        return {key: _unpacked(each, tensors) for key, each in inner}
    raise KeyError(f"the unknown kind {kind}")
