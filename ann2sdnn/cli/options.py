"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from rich.console import Console

    from ann2sdnn.support.progress import Reporter


def _conversion(context: typer.Context, named: Path) -> Path:
    """The folder that a command opens for ``named``, which may be "pretrained"."""
    if context.resilient_parsing:  # the shell completes what follows
        return named
    from ann2sdnn.ann.weights.pretrained import conversion_folder

    folder = conversion_folder(named)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise ModelError(
            f"{named} {found}; name a folder that `ann2sdnn convert` wrote, or pretrained"
        )
    return folder


def _pretrained(incomplete: str) -> list[str]:
    """The name that is no folder, once it has begun; else the shell would offer no folders."""
    return ["pretrained"] if incomplete and "pretrained".startswith(incomplete) else []


DATA = "DHP19 recordings, .npy or .npz arrays, HDF5, pictures or video: a file or a folder."
Data = Annotated[Path, typer.Option(help=f"Frames: {DATA}", show_default=False)]
Recordings = Annotated[
    Path, typer.Option(help="Folder with DHP19 h5 recordings.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Replace what ann2sdnn wrote before.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Plain lines instead of progress bars.")]
Folder = Annotated[
    Path,
    typer.Argument(
        help="A conversion's folder, or pretrained: that of the pose network that comes along.",
        show_default=False,
        callback=_conversion,
        autocompletion=_pretrained,
    ),
]
Out = Annotated[Path, typer.Option(help="Where to write.", show_default=False)]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run in --out, with its options.")
]
Seed = Annotated[int, typer.Option(help="Everything random follows from it.")]


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
