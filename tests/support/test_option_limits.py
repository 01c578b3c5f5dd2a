"""Every number of every command has limits, and is checked before any work."""

import dataclasses
import importlib
import importlib.util
import math
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import COMMANDS, options
from lava_backends import LAVA_IS_MISSING
from link_packages import package_folders
from networks import random_spec
from onnx_models import ModelBuilder
from recordings import write_network, write_recordings

from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.support.errors import Ann2SdnnError, UsageError
from ann2sdnn.support.options.fields import CheckedOptions, limit_of, number, numbers

# What a command needs beside the option that is tried; the folder is the working directory.
BASE = {
    "synth": ["new"],
    "prepare": ["raw", "new"],
    "show": ["data", "--out", "new"],
    "train-ann": ["--data", "data", "--out", "new"],
    "convert": ["model.onnx", "--calibrate", "data", "--out", "new"],
    "evaluate": ["sdnn", "--data", "data", "--out", "new"],
    "bench": ["sdnn", "--data", "data"],
    "live": ["sdnn", "--source", "data"],
    "demo": ["--out", "new/demo"],
    "results": ["new"],
    "simulate": ["sdnn", "--data", "data"],
    "drift": ["sdnn", "--data", "data", "--out", "new"],
    "diagnose": ["--data", "data", "--out", "new"],
    "train-sdnn": ["sdnn", "--data", "data", "--out", "new"],
}
# What makes the option have an effect.
WITH = {
    "threshold": ["--thresholds", "fixed"],
    "percentile": ["--thresholds", "percentile"],
    "factor": ["--thresholds", "mean-delta"],
    "threshold_bits": ["--thresholds", "fixed", "--spike-exp", "6"],
    "aware_share": ["--conversion-aware"],
}
# Where 0 means something.
MAY_BE_0 = {
    ("convert", "threshold"),
    ("convert", "percentile"),
    ("convert", "factor"),
    ("convert", "threshold_bits"),
    ("convert", "spike_exp"),
    ("convert", "relays"),
    ("convert", "distil"),
    ("convert", "frames"),
    ("evaluate", "frames"),
    ("bench", "channel"),
    ("simulate", "channel"),
    ("drift", "channel"),
    ("train-ann", "activation_price"),
    ("train-ann", "change_price"),
    ("train-ann", "message_cost"),
    ("convert", "message_cost"),
    ("train-ann", "sparsity"),
    ("train-ann", "threshold_noise"),
    ("train-ann", "workers"),
    ("diagnose", "channel"),
    ("diagnose", "threshold"),
    ("train-sdnn", "penalty"),
    ("train-sdnn", "sparsity"),
    ("train-sdnn", "threshold_rate"),
    ("train-sdnn", "workers"),
}
ABSURD = ("nan", "inf", "-inf", "-1", "0", "1e30", "-1e30", str(10**30), str(-(10**30)))


def numeric_options() -> list[tuple[str, str, str]]:
    """(command, parameter, option) of every option that takes a number."""
    return [
        (command, parameter, option)
        for command, parameter, option, kinds in options()
        if kinds & {int, float}
    ]


def modules() -> Iterator[Any]:
    """All modules of the package that can be imported without lava."""
    packages = package_folders(Path(__file__).resolve().parents[2])
    for package in packages:
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
            text = f"{package}.{found.name}"
            if found.ispkg or _imports_lava(text):
                continue
            try:
                yield importlib.import_module(text)
            except UsageError:
                if not LAVA_IS_MISSING:
                    raise


def _imports_lava(module: str) -> bool:
    source = importlib.util.find_spec(module)
    assert source is not None
    assert source.origin is not None
    return "import_lava(" in Path(source.origin).read_text(encoding="utf-8")


def options_classes() -> list[type]:
    """Every dataclass that says what somebody asked for."""
    found: dict[str, type] = {}
    for module in modules():
        for name, one in vars(module).items():
            named = name.endswith(("Options", "Size", "Windows", "Settings", "Variety"))
            if isinstance(one, type) and dataclasses.is_dataclass(one) and named:
                found[f"{one.__module__}.{name}"] = one
    return [one for one in found.values() if one.__module__ != "ann2sdnn.support.options.limits"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a network and a folder that has a spec."""
    folder = tmp_path_factory.mktemp("limits")
    write_recordings(folder / "data", subjects=2)
    write_network(folder / "model.onnx")
    write_spec(folder / "sdnn" / "sdnn.h5", random_spec())
    return folder


def said(command: str, *arguments: str) -> str:
    """The sentence that a command refuses with, or "exit 2" where the parser does."""
    try:
        COMMANDS[command].main([*BASE[command], *arguments], standalone_mode=False)
    except Ann2SdnnError as error:
        return str(error)
    except Exception as error:
        if getattr(error, "exit_code", None) == 2:
            return "exit 2"
        raise
    raise AssertionError(f"{command} {' '.join(arguments)} was accepted")


def test_there_are_numeric_options_to_try() -> None:
    assert {name for name, *_ in numeric_options()} == set(BASE)
    assert len(numeric_options()) > 60


@pytest.mark.parametrize(("command", "parameter", "option"), numeric_options())
def test_absurd_numbers_are_refused_in_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, parameter: str, option: str
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    more = [] if command == "train-sdnn" else WITH.get(parameter, [])
    if command == "diagnose" and parameter == "threshold":
        more = []
    for value in ABSURD:
        if value == "0" and (command, parameter) in MAY_BE_0:
            continue
        if value == "0" and parameter in {"seed"}:
            continue
        sentence = said(command, *more, f"{option}={value}")
        if sentence == "exit 2":
            continue
        assert sentence.startswith(f"{option} "), sentence
        assert "; expected " in sentence
        assert "\n" not in sentence
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        *(
            (command, ("--channels", text))
            for command in ("convert", "evaluate", "train-ann", "train-sdnn")
            for text in ("2,2", "4", "-1", "", ",", "2,", "2;3", "nan", "2.0", "²", "9" * 30)
        ),
        *(
            (command, ("--crop", text))
            for command in ("train-ann", "train-sdnn", "simulate", "drift", "diagnose")
            for text in ("0x0", "0x64", "-4x8", "64", "64x", "64x64x1", "1e2x4", "²x4", "nanxnan")
        ),
        *(("drift", ("--resets", text)) for text in ("0", "-1", "8,8", "8,", "inf", "1e3", "")),
        ("simulate", ("--model", "best")),
        ("train-sdnn", ("--target", "nobody")),
        ("evaluate", ("--compare", "ann", "ann")),
        ("evaluate", ("--compare", "ann", "dnn")),
        *(
            ("convert", ("--budget-class", text))
            for text in ("0.5", "nan%", "-1%", "0%", "101%", "1e1%", "%", "", "9" * 30 + "%", "²%")
        ),
        ("convert", ("--task", "guess")),
        ("evaluate", ("--task", "guess")),
        ("synth", ("--kinds", "walk,,jog")),
        *(("results", ("--windows", text)) for text in ("sideways", "disjoint,disjoint", "")),
        *(("results", ("--conversions", text)) for text in ("best", "stock,stock", "")),
        *(("bench", ("--networks", text)) for text in ("abacus", "engine,", "")),
        ("synth", ("--kinds", "")),
        ("diagnose", ("--repair", "nothing")),
    ],
)
def test_texts_that_hold_numbers_or_choices_are_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert "expected" in said(command, *arguments) or arguments[0] == "--kinds"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("options", options_classes(), ids=lambda one: one.__name__)
def test_every_number_of_the_options_has_limits(options: Any) -> None:
    assert issubclass(options, CheckedOptions)
    for one in dataclasses.fields(options):
        holds = str(one.type) if not isinstance(one.type, type) else one.type.__name__
        if not any(kind in holds for kind in ("int", "float")) or "BlockPlan" in holds:
            continue
        if one.default is dataclasses.MISSING and options.__subclasses__():
            continue  # a base: its sub-classes declare the field
        limit = limit_of(one)
        assert limit is not None, f"{options.__name__}.{one.name} has no limits"
        for value in (math.nan, math.inf, -math.inf, -(10**40), 10**40, True, "2"):
            assert not limit.accepts(value), f"{options.__name__}.{one.name} takes {value}"
            assert not limit.accepts((value, value))
        assert limit.expected


@dataclasses.dataclass(frozen=True)
class Example(CheckedOptions):
    """Fields of every kind."""

    share: float = number(0.5, above=0, below=1, option="--share")
    count: int | None = number(None, at_least=2, at_most=3, unit="frames")
    steps: tuple[float, ...] = numbers((0.5,), above=0, below=1, growing=True, fewest=1)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"share": 0}, "--share 0; expected a number between 0 and 1"),
        ({"share": 1.0}, "--share 1.0; expected a number between 0 and 1"),
        ({"share": None}, "--share None; expected a number between 0 and 1"),
        ({"count": 1}, "count 1; expected a whole number of frames from 2 to 3"),
        ({"count": 2.0}, "count 2.0; expected a whole number of frames from 2 to 3"),
        ({"steps": (0.5, 0.5)}, "steps 0.5,0.5; expected growing numbers between 0 and 1"),
        ({"steps": ()}, "steps none; expected growing numbers between 0 and 1, at least 1"),
    ],
)
def test_the_sentence_says_what_was_found_and_expected(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Ann2SdnnError) as caught:
        Example(**values)
    assert str(caught.value).startswith(sentence)


def test_values_inside_are_kept() -> None:
    assert Example(share=0.25, count=3, steps=(0.1, 0.2)) == Example(0.25, 3, (0.1, 0.2))
    assert Example().count is None


def test_a_fixed_threshold_above_every_message_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    fixed = ("--thresholds", "fixed", "--spike-exp", "6")
    sentence = said("convert", *fixed, "--threshold", "9")
    assert sentence.startswith("--threshold 9; messages reach 7.99")


def test_more_relays_than_layers_are_refused_before_calibration(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    builder = ModelBuilder(("N", 1, "H", "W"))
    builder.add("Conv", np.zeros((1, 1, 1, 1), np.float32)).add("Relu").save(folder / "silent.onnx")
    arguments = ["silent.onnx", "--calibrate", "data", "--out", "new", "--relays", "2"]
    with pytest.raises(Ann2SdnnError, match="--relays 2; the network has room for 1"):
        COMMANDS["convert"].main(arguments, standalone_mode=False)
