"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from ann2sdnn.errors import UsageError

Data = Annotated[Path, typer.Option(help="Folder with DHP19 h5 recordings.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Plain lines instead of progress bars.")]


def crop_size(text: str, expected: str) -> tuple[int, int]:
    """(height, width) of a --crop such as 64x80; UsageError says what was ``expected``."""
    height, separator, width = text.partition("x")
    if not (separator and height.isdigit() and width.isdigit()):
        raise UsageError(f"--crop {text}; expected HxW in pixels such as {expected}")
    return (int(height), int(width))
