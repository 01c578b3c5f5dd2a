"""The command `lower`: a network that slayer trained, for stock netx."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import Force, print_sentence
from ann2sdnn.support.errors import UsageError

if TYPE_CHECKING:
    from ann2sdnn.graph.geometry import Shape

_MOST_INPUTS = 2**26  # more than any camera's pixels; layers would not fit any memory

Old = Annotated[
    Path, typer.Argument(metavar="OLD.net", help="What export_hdf5 wrote.", show_default=False)
]
New = Annotated[Path, typer.Argument(metavar="NEW.net", help="To write.", show_default=False)]


def lower(
    old: Old,
    new: New,
    input_shape: Annotated[
        str | None,
        typer.Option("--input", help="CxHxW, where OLD has no input block.", show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """Rewrite a network trained in slayer so that stock netx loads it, and say what it is."""
    from rich.console import Console

    from ann2sdnn.cli.netx import print_sizes
    from ann2sdnn.convert.stages.lower import lowering_report
    from ann2sdnn.sdnn.netx.export import write_netx
    from ann2sdnn.sdnn.netx.findings import findings, how_to_run
    from ann2sdnn.sdnn.netx.importer import import_netx, lower_network
    from ann2sdnn.sdnn.netx.rows import block_rows
    from ann2sdnn.sdnn.netx.table import WIDTH, block_table
    from ann2sdnn.support.files.targets import check_file

    check_file(new, force=force, inputs=(old,))
    network = import_netx(old, None if input_shape is None else _shape(input_shape))
    Console(width=WIDTH).print(block_table(block_rows(network)))
    _print_sentences(findings(network))
    lowered = lower_network(network)
    write_netx(
        new,
        lowered,
        force=force,
        inputs=(old,),
        encoding=network.encoding,
        sigma_output=network.sigma_output,
    )
    print_sizes(lowering_report(network.spec, lowered), "in OLD")
    _print_sentences(how_to_run(network))
    typer.echo(f"Wrote {new}")


def _print_sentences(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print_sentence(f"- {sentence}")


def _shape(text: str) -> "Shape":
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", text, re.ASCII)
    channels, height, width = (0, 0, 0) if found is None else map(int, found.groups())
    if not 1 <= channels * height * width <= _MOST_INPUTS:
        raise UsageError(
            f"--input {text}; expected channels, height and width such as 1x260x344, each 1 or more"
            f" and {_MOST_INPUTS:,} values at most"
        )
    return (channels, height, width)
