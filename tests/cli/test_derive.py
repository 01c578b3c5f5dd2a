"""Commands derived from options dataclasses: options, help texts, values and refusals."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import typer
from typer.testing import CliRunner

from ann2sdnn.cli.parsing.derive import Given, Typed, derived
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import (
    CheckedOptions,
    any_of,
    choice,
    free,
    help_texts,
    number,
    numbers,
    one_of,
    only_with,
    random_seed,
    size,
)


@dataclass(frozen=True)
class Nothing(CheckedOptions):
    """No rule."""

    name: ClassVar[str] = "none"


@dataclass(frozen=True)
class Fixed(CheckedOptions):
    """A rule with an option of its own."""

    name: ClassVar[str] = "fixed"

    value: float = number(0.1, at_least=0, at_most=8, option="--threshold")
    """Threshold of every layer."""


@dataclass(frozen=True)
class Budget(CheckedOptions):
    """Another."""

    name: ClassVar[str] = "budget"

    px: float = number(0.2, above=0, at_most=9, option="--budget-px")


RULES: dict[str, type[Any]] = {rule.name: rule for rule in (Nothing, Fixed, Budget)}


@dataclass(frozen=True)
class Tuning(CheckedOptions):
    """Options that are None unless minutes or steps are given."""

    minutes: float = number(8.0, above=0, at_most=60, option="--minutes", none="0")
    steps: int | None = number(None, at_least=1, at_most=9, option="--steps")
    rate: float = number(0.5, above=0, at_most=1)
    seed: int = random_seed(0)


@dataclass(frozen=True)
class Base(CheckedOptions):
    """A base."""

    panel = "Basics"

    frames: int | None = number(16, at_least=1, at_most=99, option="--frames", none="0")
    """Frames
    to read."""


@dataclass(frozen=True)
class Source(CheckedOptions):
    """Options of every kind of data."""


@dataclass(frozen=True)
class Cameras(Source):
    """A kind of data."""

    camera: int = number(2, at_least=0, at_most=3, option="--camera")
    """Camera."""


@dataclass(frozen=True)
class Arrays(Source):
    """Another."""

    dataset: str = free("frames", option="--dataset")


@dataclass(frozen=True)
class Options(Base):
    """Fields of every kind."""

    rule: Nothing | Fixed | Budget = one_of(Budget(), RULES, option="--rule", panel="Rule")
    """Threshold rule."""
    tuning: Tuning | None = only_with("minutes", "steps")
    source: Source | None = any_of(lambda: [Cameras, Arrays])
    inner: Fixed = field(default_factory=Fixed)
    crop: tuple[int, int] | None = size((32, 64), option="--crop", none="none")
    channels: tuple[int, ...] = numbers((2, 3), at_least=0, at_most=3, option="--channels")
    resets: tuple[int, ...] = numbers((8,), at_least=1, at_most=99, option="--resets", none="none")
    mean: tuple[float, ...] | None = numbers(None, at_least=-9, at_most=9, option="--mean")
    kinds: tuple[str, ...] | None = free(None, option="--kinds")
    grid: Literal["stock", "per-layer"] = choice("stock", option="--grid")
    sweep: bool = free(False, option="--sweep")
    """Draw a curve."""
    hidden: int = number(1, at_least=0, at_most=3)


def called(*arguments: str) -> Options:
    """The options that a command gets for ``arguments``."""
    got: list[Options] = []

    def command(model: Path, options: Options) -> None:
        got.append(options)

    run(command, "model", *arguments)
    return got[0]


def run(function: Any, *arguments: str) -> str:
    app = typer.Typer()
    app.command()(derived(function))
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.output)


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ((), {}),
        (("--frames", "3"), {"frames": 3}),
        (("--frames", "0"), {"frames": None}),
        (("--rule", "none"), {"rule": Nothing()}),
        (("--rule", "budget", "--budget-px", "1"), {"rule": Budget(1.0)}),
        (("--budget-px", "1"), {"rule": Budget(1.0)}),
        (("--minutes", "2"), {"tuning": Tuning(2.0)}),
        (("--minutes", "0"), {"tuning": None}),
        (("--seed", "4"), {"tuning": None}),
        (("--steps", "2", "--seed", "4"), {"tuning": Tuning(steps=2, seed=4)}),
        (("--camera", "1"), {"source": Cameras(camera=1)}),
        (("--dataset", "x"), {"source": Arrays(dataset="x")}),
        (("--crop", "16x8"), {"crop": (16, 8)}),
        (("--crop", "none"), {"crop": None}),
        (("--channels", "1,0"), {"channels": (1, 0)}),
        (("--resets", "none"), {"resets": ()}),
        (("--mean", "-0.5,.25,1e-3,2"), {"mean": (-0.5, 0.25, 0.001, 2.0)}),
        (("--kinds", "walk,star jump"), {"kinds": ("walk", "star jump")}),
        (("--grid", "per-layer"), {"grid": "per-layer"}),
        (("--sweep",), {"sweep": True}),
    ],
)
def test_what_is_typed_becomes_a_field(arguments: tuple[str, ...], changes: dict[str, Any]) -> None:
    assert called(*arguments) == Options(**changes)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--frames", "100"), "--frames 100; expected a whole number from 1 to 99"),
        (("--seed", "-1"), "--seed -1; expected"),
        (("--threshold", "9"), "--threshold has no effect without --rule fixed"),
        (("--rule", "none", "--budget-px", "1"), "no effect without --rule budget; give both"),
        (("--camera", "1", "--dataset", "x"), "--camera and --dataset belong to different kinds"),
        (("--camera", "4"), "--camera 4; expected a whole number from 0 to 3"),
        (("--crop", "16"), "--crop 16; expected HxW in pixels such as 32x64, or none"),
        (("--channels", "1;2"), "--channels 1;2; expected numbers with commas, such as 2,3"),
        (("--mean", "1,nan"), "--mean 1,nan; expected numbers with commas, such as 0.5,0.25"),
        (("--mean", "10"), "--mean 10.0; expected numbers from -9 to 9"),
        (("--resets", "x"), "--resets x; expected numbers with commas, or none"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        called(*arguments)
    assert sentence in str(caught.value)


def test_the_help_has_texts_choices_defaults_and_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(options: Options) -> None:
        """Do it."""

    monkeypatch.setenv("COLUMNS", "100")
    text = run(command, "--help")
    basics = text[text.index("─ Basics") :]
    assert "Frames to read. [default: 16]" in basics
    assert "Threshold of every layer. [default: 0.1]" in text
    assert "Threshold rule. [default: budget]" in text[text.index("─ Rule") :]
    assert "[default: 32x64]" in text
    assert "[default: 2,3]" in text
    assert "stock|per-layer" in text
    assert "--no-sweep" not in text
    assert "--hidden" not in text
    assert "--rate" not in text


def test_a_command_gets_typed_values_and_the_names_of_options_typed() -> None:
    got: list[Any] = []

    def command(options: Typed[Base], given: Given, other: int = 3) -> None:
        got.extend((dict(options.values), "frames" in given, "other" in given, other))

    run(command, "--frames", "5")
    assert got == [{"frames": 5}, True, False, 3]


def test_help_texts_are_the_docstrings_under_the_fields_also_of_bases() -> None:
    texts = help_texts(Options)
    assert texts["frames"] == "Frames\nto read."
    assert texts["sweep"] == "Draw a curve."
    assert "hidden" not in texts
