"""Files with a part taken away, cut short, overwritten, or with numbers that cannot be."""

import json
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bad_inputs.case import Case, Damage
from bad_inputs.option_cases import GOOD

_SEED = 20
_POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456789\n"
)
_OF_CONVERSION = ("inspect", "evaluate", "export", "bench", "drift", "simulate", "train-sdnn")
_READS_SPEC = ("evaluate", "export", "bench", "drift", "train-sdnn")
_READS_DATA = ("convert", "evaluate", "bench", "drift", "train-ann", "show", "train-sdnn")
_NO_NUMBERS = (np.nan, np.inf, -np.inf, 2.0**40, -(2.0**40))
_DIAGNOSE = ("diagnose", "--out", "new", "--crop", "32x32", "--steps", "1", "--batch", "1")

# Each file, and the calls that read it.
_READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "model.onnx": (("convert", *GOOD["convert"]),),
    "weights.model": (("import-ann", *GOOD["import-ann"]),),
    "old.net": (("lower", *GOOD["lower"]),),
    "sdnn/sdnn.h5": tuple((name, *GOOD[name]) for name in _READS_SPEC),
    "sdnn/report.json": (("inspect", "sdnn"),),
    "sdnn/model.onnx": (("evaluate", *GOOD["evaluate"]),),
    "sequences.pt": ((*_DIAGNOSE, "--data", "sequences.pt"),),
    "raw/DVS_movies/S1/session1/mov1.aedat": (("prepare", *GOOD["prepare"]),),
    "raw/Vicon_data/S1_1_1.mat": (("prepare", *GOOD["prepare"]),),
    "hops/S1_session2_mov1_7500events.h5": (("show", "hops", "--out", "new"),),
    "data/S1_session1_mov1_7500events.h5": tuple((name, *GOOD[name]) for name in _READS_DATA),
    "data/S1_session1_mov1_7500events_label.h5": tuple(
        (name, *GOOD[name]) for name in ("convert", "train-ann", "show")
    ),
    "run/train.json": (("train-ann", "--data", "data", "--out", "run", "--resume"),),
}


def whole_file_cases() -> Iterator[Case]:
    """Every file: missing, empty, cut short, replaced by text, by a folder, by a pointer."""
    damages: dict[str, Callable[[Path], object]] = {
        "missing": lambda path: path.unlink(),
        "empty": lambda path: path.write_bytes(b""),
        "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "text": lambda path: path.write_text("this is no such file\n"),
        "folder": _as_folder,
        "pointer": lambda path: path.write_text(_POINTER),
    }
    for file, readers in _READERS.items():
        for name, damage in damages.items():
            reader = readers[zlib.crc32(name.encode()) % len(readers)]
            yield Case(
                f"{reader[0]}: {file} {name}",
                reader,
                _on(file, damage),
                # What is gone may not be missed: a recording, a training's record.
                must_fail=name != "missing" and "train.json" not in file,
                # `prepare` skips what is damaged, and here nothing is left.
                codes=frozenset({1, 2}),
            )
    yield from _training_states()


def flipped_cases(count: int) -> Iterator[Case]:
    """Single bytes changed at random places: legal, or refused.

    Trainings are left out: one that meets the damage on its way keeps what it has, for --resume.
    """
    rng = random.Random(_SEED)
    for index in range(count):
        file = rng.choice(sorted(set(_READERS) - {"run/train.json"}))
        reader = rng.choice([one for one in _READERS[file] if not one[0].startswith("train-")])
        damage = _on(file, _flip(rng.random(), rng.randrange(1, 256)))
        name = f"{reader[0]}: {file} with a flipped byte ({index})"
        yield Case(name, reader, damage, must_fail=False, codes=frozenset({1, 2}))


def hdf5_cases(world: Path) -> Iterator[Case]:
    """Every attribute and data set of every HDF5 file: taken away, retyped, with wild numbers."""
    for file, readers in _READERS.items():
        if not h5py.is_hdf5(world / file):
            continue
        names, attributes = _parts(world / file)
        for index, (place, key) in enumerate(attributes):
            reader = readers[index % len(readers)]
            where = f"{reader[0]}: {file} {place}@{key}"
            yield _maybe(f"{where} gone", reader, _on(file, _drop_attribute(place, key)))
            yield _maybe(f"{where} text", reader, _on(file, _set_attribute(place, key, "x")))
            yield _maybe(f"{where} nan", reader, _on(file, _set_attribute(place, key, np.nan)))
        for index, name in enumerate(names):
            reader = readers[index % len(readers)]
            where = f"{reader[0]}: {file} {name}"
            yield _maybe(f"{where} gone", reader, _on(file, _drop(name)))
            yield _maybe(f"{where} flat", reader, _on(file, _replace(name, _flattened)))
            yield _maybe(f"{where} empty", reader, _on(file, _replace(name, _emptied)))
            yield _maybe(f"{where} text", reader, _on(file, _replace(name, _as_text)))
            number = _NO_NUMBERS[index % len(_NO_NUMBERS)]
            yield _maybe(f"{where} {number}", reader, _on(file, _replace(name, _wild(number))))


def report_cases(world: Path) -> Iterator[Case]:
    """Every key of the conversion's report: gone, or of another type."""
    report = json.loads((world / "sdnn" / "report.json").read_text())
    for key in report:
        for name, value in (("gone", None), ("list", [[]]), ("text", "x")):
            damage = _on("sdnn/report.json", _json_key(key, value, gone=name == "gone"))
            yield _maybe(f"inspect: report.json {key} {name}", ("inspect", "sdnn"), damage)


def mismatched_cases() -> Iterator[Case]:
    """Good files in the wrong place."""
    for command in _OF_CONVERSION:
        for other in ("data", "mine", "run", "note.txt", "nowhere"):
            arguments = (other if one == "sdnn" else one for one in (command, *GOOD[command]))
            yield Case(f"{command} {other} as a conversion", tuple(arguments))
    for command in _READS_DATA:
        for other in ("mine", "raw", "note.txt", "nowhere", "model.onnx"):
            arguments = (other if one == "data" else one for one in (command, *GOOD[command]))
            yield Case(f"{command} {other} as recordings", tuple(arguments))
    for other in ("old.net", "sdnn/sdnn.h5", "note.txt", "data", "weights.model", "sequences.pt"):
        yield Case(f"convert {other}", ("convert", other, "--calibrate", "data", "--out", "new"))
        if other != "old.net":
            yield Case(f"lower {other}", ("lower", other, "new.net"))
        if other != "weights.model":
            yield Case(f"import-ann {other}", ("import-ann", other, "--out", "new.onnx"))


def _training_states() -> Iterator[Case]:
    for command, folder in (("train-ann", "run"), ("train-sdnn", "fine")):
        source = () if command == "train-ann" else ("sdnn",)
        arguments = (command, *source, "--data", "data", "--out", folder, "--resume")
        for name, damage in (
            ("cut", _on_states(folder, _keep_half)),
            ("text", _on_states(folder, lambda path: path.write_text("x"))),
            ("missing", _on_states(folder, lambda path: path.unlink())),
        ):
            yield Case(f"{command}: resume with a state that is {name}", arguments, damage)


def _maybe(name: str, arguments: tuple[str, ...], damage: Damage) -> Case:
    return Case(name, arguments, damage, must_fail=False, codes=frozenset({1, 2}))


def _on(file: str, damage: Callable[[Path], object]) -> Damage:
    return lambda folder: damage(folder / file)


def _on_states(folder: str, damage: Callable[[Path], object]) -> Damage:
    def every(world: Path) -> None:
        for path in (world / folder).glob("state.safetensors"):
            damage(path)

    return every


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _keep_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(place: float, mask: int) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(place * len(data))] ^= mask
        path.write_bytes(bytes(data))

    return damage


def _parts(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of all data sets, and (object, name) of all attributes."""
    names: list[str] = []
    attributes: list[tuple[str, str]] = []

    def visit(name: str, item: Any) -> None:
        attributes.extend((name, key) for key in item.attrs)
        if isinstance(item, h5py.Dataset):
            names.append(name)

    with h5py.File(path, "r") as file:
        attributes.extend(("/", key) for key in file.attrs)
        file.visititems(visit)
    return names, attributes


def _drop_attribute(place: str, key: str) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[place].attrs[key]

    return damage


def _set_attribute(place: str, key: str, value: Any) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            file[place].attrs[key] = value

    return damage


def _drop(name: str) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]

    return damage


def _replace(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            value, attributes = file[name][()], dict(file[name].attrs)
            del file[name]
            file[name] = change(np.asarray(value))
            file[name].attrs.update(attributes)

    return damage


def _flattened(value: Any) -> Any:
    return value.reshape(-1)


def _emptied(value: Any) -> Any:
    return value[:0] if value.ndim else np.zeros(0)


def _as_text(value: Any) -> Any:
    return np.full(value.shape or (1,), b"x", "S1")


def _wild(number: float) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if value.dtype.kind not in "iuf":
            return value
        wild = value.astype(np.float64)
        wild.reshape(-1)[:1] = number
        return wild

    return change


def _json_key(key: str, value: Any, *, gone: bool) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        report = json.loads(path.read_text())
        if gone:
            del report[key]
        else:
            report[key] = value
        path.write_text(json.dumps(report))

    return damage
