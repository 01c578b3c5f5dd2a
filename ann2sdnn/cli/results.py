"""The command `results`: all results of this project, from its own commands."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import Quiet, reporter

if TYPE_CHECKING:
    from ann2sdnn.eval.study.options import StudyOptions


def results(
    out: Annotated[
        Path, typer.Argument(help="Folder to write, or to continue.", show_default=False)
    ],
    options: "StudyOptions",
    published: Annotated[
        Path | None,
        typer.Option(help="Keras file of the weights that the data set's authors published."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make every step again, finished ones too.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure everything: recordings, conversions, comparisons and times, and write results.md.

    Each step is one of the other commands, which stands above its table. Run again after an
    interruption, it continues after the last finished step.

    Example: ann2sdnn results results --published DHP_CNN.model
    """
    from ann2sdnn.eval.study.options import SHIPPED_NETWORK, published_network
    from ann2sdnn.eval.study.study import RESULT_FILES, study

    imported = () if published is None else (published_network(published.resolve()),)
    study(
        out,
        (SHIPPED_NETWORK, *imported),
        options,
        lambda words: _execute(words, quiet=quiet),
        typed=_typed(options, published),
        again=force,
        reporter=reporter(quiet),
    )
    typer.echo(f"Wrote {', '.join(RESULT_FILES)} in {out}")


def _execute(words: Sequence[str], *, quiet: bool) -> int:
    """Run a command in this process; its tables are not shown."""
    from ann2sdnn.cli.app import load

    command, *arguments = words
    has_quiet = quiet and command != "import-ann"
    with contextlib.redirect_stdout(io.StringIO()):
        code = load(command).main(
            [*arguments, *(["--quiet"] if has_quiet else [])],
            prog_name=f"ann2sdnn {command}",
            standalone_mode=False,
        )
    return code if isinstance(code, int) else 0


def _typed(options: "StudyOptions", published: Path | None) -> list[str]:
    """The options that are not defaults, as typed."""
    from dataclasses import fields

    from ann2sdnn.support.options.fields import declared_of

    words = [] if published is None else ["--published", published.name]
    for each in fields(options):
        value, option = getattr(options, each.name), declared_of(each).option
        if option is not None and value != each.default:
            words += [option, ",".join(value) if isinstance(value, tuple) else str(value)]
    return words
