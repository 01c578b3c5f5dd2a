"""The command `doctor`: what works on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from ann2sdnn.cli.options import console


def _parts(incomplete: str) -> list[str]:
    from ann2sdnn.eval.doctor.parts import PARTS

    return [name for name in PARTS if name.startswith(incomplete)]


def doctor(
    need: Annotated[
        list[str] | None,
        typer.Option(
            help="Ends with exit code 1 where this does not work: slayer, lava, gpu, openvino,"
            " video. May be given several times.",
            metavar="PART",
            autocompletion=_parts,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder to be written to, for the space on its disk.")
    ] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what works on this machine, what does not, why, and which command mends it.

    It runs a little of everything: a layer in the engine against the reference, a network in ONNX
    Runtime and in slayer. Ends with exit code 1 where the core, or something that --need names,
    does not work.

    Example: ann2sdnn doctor --need lava
    """
    from ann2sdnn.cli.app import COMMANDS
    from ann2sdnn.eval.doctor.doctor import check_parts, examine
    from ann2sdnn.eval.doctor.text import checkup_text

    check_parts(need or ())
    typer.echo("Trying a little of everything; the first time the engine is compiled.", err=True)
    checkup = examine(tuple(COMMANDS), need or (), out)
    if json:
        typer.echo(checkup.model_dump_json(indent=2))
    else:
        console().print(checkup_text(checkup), soft_wrap=True)
    if checkup.exit_code:
        raise typer.Exit(checkup.exit_code)
