"""Ways to damage a file, for tests that every reader answers each of them in a sentence."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from ann2sdnn.support.errors import Ann2SdnnError
from ann2sdnn.support.files.nested import read_nested, write_nested

Damage = tuple[str, Callable[[Path], None]]
Reader = Callable[[Path], object]


def accepted(path: Path, read: Reader, *damages: Iterable[Damage], say: str = "") -> set[str]:
    """Names of the damages that ``read`` did not answer in one line with ``say`` in it.

    ``say``: the file's name by default.
    """
    whole, todo = path.read_bytes(), [one for some in damages for one in some]
    read(path)
    found = set()
    for name, damage in todo:
        path.write_bytes(whole)
        damage(path)
        try:
            read(path)
        except Ann2SdnnError as error:
            if len(str(error).splitlines()) != 1 or (say or path.name) not in str(error):
                found.add(f"{name}: {error}")
        except Exception as error:
            found.add(f"{name}: {error!r}")
        else:
            found.add(name)
        if path.is_dir():
            path.rmdir()
    path.write_bytes(whole)
    return found


def byte_damages(path: Path) -> Iterator[Damage]:
    """What may happen to any file: cut off, emptied, replaced by text or a folder."""
    whole = path.read_bytes()
    for part in (0.02, 0.3, 0.6, 0.9):
        yield f"cut off at {part:.0%}", _writer(whole[: int(part * len(whole))])
    yield "empty", _writer(b"")
    yield "text", _writer(b"not what is expected\n")
    yield "bytes", _writer(bytes(range(256)) * 8)
    yield "folder", _make_folder


def h5_damages(path: Path) -> Iterator[Damage]:
    """Every attribute and every data set missing, of another type or shape, or not finite."""
    with h5py.File(path, "r") as file:
        groups = ["/"]
        file.visit(groups.append)
        attributes = [(name, key) for name in groups for key in file[name].attrs]
        datasets = {n: file[n][()] for n in groups if isinstance(file[n], h5py.Dataset)}
    for name, key in attributes:
        for what, value in (
            ("missing", None),
            ("NaN", np.nan),
            ("text", "something else"),
            ("a list", np.arange(7.0)),
            ("negative", -3),
            ("nothing", h5py.Empty("f8")),
        ):
            yield f"{name}@{key} {what}", _change_h5(name, key, value)
    for name, values in datasets.items():
        yield f"{name} missing", _change_h5(name, None, None)
        yield f"{name} a group", _change_h5(name, None, "group")
        yield f"{name} text", _change_h5(name, None, b"something else")
        array = np.asarray(values)
        if array.dtype.kind not in "iufb":
            continue
        yield f"{name} NaN", _change_h5(name, None, np.full(array.shape, np.nan))
        yield f"{name} infinite", _change_h5(name, None, np.full(array.shape, np.inf))
        yield f"{name} of another shape", _change_h5(name, None, np.zeros((2, 3, 1, 2, 1)))
        yield f"{name} without entries", _change_h5(name, None, array.reshape(-1)[:0])


def json_damages(path: Path) -> Iterator[Damage]:
    """Every key missing, and every value replaced by one of another type or by NaN."""
    content = json.loads(path.read_text())
    for place in _places(content):
        name = ".".join(map(str, place))
        yield f"{name} missing", _write_json(content, place, _MISSING)
        for what in ({"other": 1}, float("nan"), "something else", [[["deep"]]]):
            if not (what == "something else" and isinstance(_at(content, place), str)):
                yield f"{name} is {what}", _write_json(content, place, what)
    yield "a list", lambda path: _dump(path, [1, 2])
    yield "nested deeply", lambda path: _dump_text(path, "[" * 100_000)


def pt_damages(path: Path) -> Iterator[Damage]:
    """Every field of torch's file missing or of another type, tensors not finite."""
    content = torch.load(path, weights_only=True)
    yield from _field_damages(content, lambda path, other: torch.save(other, path))


def state_damages(path: Path) -> Iterator[Damage]:
    """The same of the state of a training run."""
    yield from _field_damages(read_nested(path), write_nested)


def _field_damages(
    content: dict[str, Any], write: Callable[[Path, Any], object]
) -> Iterator[Damage]:
    def written(other: Any) -> Callable[[Path], None]:
        def damage(path: Path) -> None:
            write(path, other)

        return damage

    yield "a list", written([1])
    for key, value in content.items():
        rest = {name: other for name, other in content.items() if name != key}
        yield f"{key} missing", written(rest)
        for what in ("something else", float("nan"), None, [1, "two"], {"other": 1}, torch.ones(2)):
            if type(what) is not type(value) or not isinstance(what, str):
                yield f"{key} is {what}", written({**rest, key: what})
        tensors = value.items() if isinstance(value, dict) else ()
        for first, tensor in [one for one in tensors if isinstance(one[1], torch.Tensor)][:1]:
            for name, other in (
                ("NaN", torch.full_like(tensor, float("nan"), dtype=torch.float32)),
                ("cut", tensor.reshape(-1)[:1]),
                ("a number", 3),
            ):
                yield f"{key}.{first} {name}", written({**rest, key: {**value, first: other}})


_MISSING = object()


def _writer(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _change_h5(name: str, key: str | None, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            if key is not None:
                del file[name].attrs[key]
                if value is not None:
                    file[name].attrs[key] = value
                return
            attributes = dict(file[name].attrs)
            del file[name]
            if isinstance(value, str):
                file.create_group(name)
            elif value is not None:
                file[name] = value
                file[name].attrs.update(attributes)

    return change


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there are values: of lists only the first entry."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and value:
        items = [(0, value[0])]
    for key, inner in items:
        yield (*place, key)
        yield from _places(inner, (*place, key))


def _at(content: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        content = content[key]
    return content


def _write_json(content: Any, place: tuple[Any, ...], value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        other = copy.deepcopy(content)
        holder = _at(other, place[:-1])
        if value is _MISSING:
            del holder[place[-1]]
        else:
            holder[place[-1]] = value
        _dump(path, other)

    return change


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def _dump_text(path: Path, text: str) -> None:
    path.write_text(text)
