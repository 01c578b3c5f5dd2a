"""Options that several commands share."""

import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.support.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ann2sdnn.support.progress import Reporter

Data = Annotated[Path, typer.Option(help="Folder with DHP19 h5 recordings.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace what ann2sdnn wrote before.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Plain lines instead of progress bars.")]
Folder = Annotated[Path, typer.Argument(help="A conversion's folder.", show_default=False)]
Out = Annotated[Path, typer.Option(help="Where to write.", show_default=False)]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run in --out, with its options.")
]
Seed = Annotated[int, typer.Option(help="Everything random follows from it.")]
Channels = Annotated[str, typer.Option(help="Cameras of a frame file, 0 to 3.")]


class Split(str, Enum):
    """Whose recordings: the paper's subjects 1-12 train, 13-17 test."""

    TRAIN = "train"
    TEST = "test"
    ALL = "all"


def crop_size(text: str, expected: str) -> tuple[int, int]:
    """(height, width) of a --crop such as 64x80; UsageError says what was ``expected``."""
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text, re.ASCII)
    if found is None:
        raise UsageError(f"--crop {text}; expected HxW in pixels such as {expected}")
    return (int(found[1]), int(found[2]))


def parsed_channels(text: str) -> tuple[int, ...]:
    """The cameras of a --channels such as 2,3; UsageError for anything else."""
    return parsed_numbers("--channels", text, "numbers with commas, such as 2,3")


def parsed_numbers(option: str, text: str, expected: str) -> tuple[int, ...]:
    """The whole numbers with commas between them that ``option`` got."""
    if not re.fullmatch(r"\d{1,18}(,\d{1,18})*", text, re.ASCII):
        raise UsageError(f"{option} {text}; expected {expected}")
    return tuple(int(part) for part in text.split(","))


def reporter(quiet: bool) -> "Reporter":
    """Progress on standard error, as lines with --quiet or where nobody is watching."""
    from ann2sdnn.support.progress import reporter_for_terminal

    return reporter_for_terminal(quiet=quiet)


def console() -> "Console":
    """Standard output, at 80 columns where nobody is watching."""
    from rich.console import Console

    wide = Console(highlight=False)
    return wide if wide.is_terminal else Console(width=80, highlight=False)


def print_sentence(text: str) -> None:
    """Print ``text`` in lines of at most the console's width."""
    console().print(text, markup=False, highlight=False)
