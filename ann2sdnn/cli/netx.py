"""The commands `export`, `lower`, `simulate` and `drift`: netx, lava-nc and stock neurons."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import Data, Folder, Force, Out, Quiet, console, print_sentence, reporter
from ann2sdnn.cli.parsing.derive import Given
from ann2sdnn.support.errors import UsageError

if TYPE_CHECKING:
    from ann2sdnn.eval.drift.options import DriftOptions
    from ann2sdnn.eval.options import SimulateOptions
    from ann2sdnn.eval.simulate import Simulation
    from ann2sdnn.graph.geometry import Shape

_MOST_INPUTS = 2**26  # more than any camera's pixels; layers would not fit any memory


def export(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="The file; DIR/network.net by default.", show_default=False)
    ] = None,
    force: Force = False,
) -> None:
    """Write a converted network as a file that stock netx loads, as convert does.

    Example: ann2sdnn export sdnn --out network.net
    """
    from ann2sdnn.ann.weights.pretrained import SHIPPED
    from ann2sdnn.convert.folder import NETWORK_FILE, REPORT_FILE
    from ann2sdnn.convert.render.sheets import headroom_sheet, size_sheet
    from ann2sdnn.convert.report.lowering import lowering_warnings
    from ann2sdnn.convert.stages.lower import export_network
    from ann2sdnn.support.terminal import sheet_text

    if out is None and folder == SHIPPED:
        raise UsageError(
            "pretrained lies in the installed package, where nothing is written; name the file to"
            " write with --out, such as --out network.net"
        )
    report = export_network(folder, out, force=force)
    console().print(sheet_text(size_sheet(report)))
    headroom = headroom_sheet(report)
    if headroom is not None:
        console().print(sheet_text(headroom))
    for warning in lowering_warnings(report):
        print_sentence(f"Warning: {warning}")
    if report.ranges is None:
        print_sentence(
            f"Warning: {folder / REPORT_FILE} does not say what states the lowered network reaches;"
            " convert again to have them measured"
        )
    typer.echo(f"Wrote {out or folder / NETWORK_FILE}")


def lower(
    old: Annotated[
        Path, typer.Argument(metavar="OLD.net", help="What export_hdf5 wrote.", show_default=False)
    ],
    new: Annotated[
        Path, typer.Argument(metavar="NEW.net", help="File to write.", show_default=False)
    ],
    input_shape: Annotated[
        str | None,
        typer.Option("--input", help="CxHxW, where OLD has no input block.", show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """Rewrite a network trained in slayer so that stock netx loads it, and say what it is.

    Example: ann2sdnn lower trained.net network.net --input 1x260x344
    """
    from rich.console import Console

    from ann2sdnn.convert.render.loihi import fit_sheet
    from ann2sdnn.convert.render.sheets import size_sheet
    from ann2sdnn.convert.stages.loihi import loihi_report
    from ann2sdnn.convert.stages.lower import lowering_report
    from ann2sdnn.sdnn.netx.export import write_netx
    from ann2sdnn.sdnn.netx.findings import findings, how_to_run
    from ann2sdnn.sdnn.netx.importer import import_netx, lower_network
    from ann2sdnn.sdnn.netx.table import block_sheet
    from ann2sdnn.support.files.targets import check_file
    from ann2sdnn.support.terminal import WIDTH, sheet_text

    check_file(new, force=force, inputs=(old,))
    network = import_netx(old, None if input_shape is None else _shape(input_shape))
    Console(width=WIDTH).print(sheet_text(block_sheet(network)))
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
    sizes = size_sheet(lowering_report(network.spec, lowered), "in OLD")
    console().print(sheet_text(sizes))
    console().print(sheet_text(fit_sheet(loihi_report(network.spec, lowered))))
    _print_sentences(how_to_run(network))
    typer.echo(f"Wrote {new}")


def simulate(
    folder: Folder,
    data: Data,
    options: "SimulateOptions",
    given: Given,
    quiet: Quiet = False,
) -> None:
    """Run the exported network in lava-nc and compare every message with slayer.

    Ends with exit code 1 when a message differs.

    Example: ann2sdnn simulate sdnn --data recordings --frames 2 --crop 64x80
    """
    from ann2sdnn.convert.folder import SPEC_FILE
    from ann2sdnn.eval.simulate import simulate as run
    from ann2sdnn.eval.simulate import simulated_frames
    from ann2sdnn.graph.cropping import cropped
    from ann2sdnn.sdnn.spec.file import read_spec

    spec = cropped(read_spec(folder / SPEC_FILE), options.crop)
    pictures = simulated_frames(data, options, spec.preprocessing.resize, reporter=reporter(quiet))
    result = run(
        spec,
        pictures,
        model=options.model,
        hang_seconds=options.hang_seconds,
        reporter=reporter(quiet),
    )
    print_simulation(result)
    if len(pictures) < options.frames and "frames" in given:
        print_sentence(
            f"The first sequence has {len(pictures)} frames, fewer than --frames {options.frames}"
            " asked for"
        )
    if result.largest:
        raise typer.Exit(1)


def drift(
    folder: Folder,
    data: Data,
    out: Out,
    options: "DriftOptions",
    given: Given,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure how far lava's stock neuron drifts from the ANN, and what resets cost and mend.

    Example: ann2sdnn drift sdnn --data recordings --out drift --resets 8,32
    """
    from ann2sdnn.eval.drift.drift import drift as run
    from ann2sdnn.eval.drift.output import (
        DRIFT_PICTURE_FILE,
        check_drift_files,
        print_drift,
        write_drift,
    )

    never = [period for period in options.resets if period >= options.frames]
    if never and "resets" in given:
        raise UsageError(
            f"--resets {never[0]} has no effect in {options.frames} frames; choose fewer frames"
            " from a reset to the next, or more --frames"
        )
    # Of the defaults those that never come are left out: they would repeat the stock neuron's row.
    options = replace(options, resets=tuple(p for p in options.resets if p not in never))
    check_drift_files(out, force=force)
    report = run(folder, data, options, reporter=reporter(quiet))
    write_drift(report, out)
    print_drift(report, console(), last_line=f"Plot: {out / DRIFT_PICTURE_FILE}")


def print_simulation(result: "Simulation") -> None:
    """What was compared layer by layer, and the joints that lava-nc and slayer found."""
    typer.echo(f"{'layer':<24}{'compared':>14}{'sent':>14}{'largest difference':>20}")
    for layer in result.layers:
        typer.echo(f"{layer.name:<24}{layer.compared:>14,}{layer.sent:>14,}{layer.largest:>20,}")
    if result.is_silent:
        print_sentence(
            "Warning: slayer sent no message in these frames, so that equal messages show nothing;"
            " choose another --crop or --channel, or more --frames"
        )
    else:
        _print_joints(result)
    print_sentence(
        f"{result.compared:,} messages compared, largest difference {result.largest};"
        f" {result.n_steps} time steps of {result.seconds_a_step:.2f} s,"
        f" {result.seconds:.0f} s in all"
    )


def _print_joints(result: "Simulation") -> None:
    for t, (lava, slayer) in enumerate(zip(result.lava_joints, result.slayer_joints, strict=True)):
        lava_text = " ".join(f"{column},{row}" for column, row in lava)
        same = "the same" if (lava == slayer).all() else " ".join(f"{c},{r}" for c, r in slayer)
        print_sentence(f"frame {t}: joints in lava-nc {lava_text}; in slayer {same}")


def _print_sentences(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print_sentence(f"- {sentence}")


def _shape(text: str) -> "Shape":
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", text, re.ASCII)
    channels, height, width = (0, 0, 0) if match is None else map(int, match.groups())
    if not 1 <= channels * height * width <= _MOST_INPUTS:
        raise UsageError(
            f"--input {text}; expected channels, height and width such as 1x260x344, each 1 or more"
            f" and {_MOST_INPUTS:,} values at most"
        )
    return (channels, height, width)
