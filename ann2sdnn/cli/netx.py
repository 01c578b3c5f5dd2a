"""The commands `export` and `simulate`: the way to netx, lava-nc and the chip."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import (
    Data,
    Force,
    Quiet,
    console,
    crop_size,
    print_sentence,
    reporter,
)

if TYPE_CHECKING:
    from ann2sdnn.convert.report.lowering import LoweringReport
    from ann2sdnn.eval.simulate import Simulation
    from ann2sdnn.sdnn.spec.spec import NeuronModel


Folder = Annotated[Path, typer.Argument(help="A conversion's folder.", show_default=False)]


def export(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="The file; DIR/network.net by default.", show_default=False)
    ] = None,
    force: Force = False,
) -> None:
    """Write a converted network as a file that stock netx loads, as convert does."""
    from ann2sdnn.convert.folder import REPORT_FILE
    from ann2sdnn.convert.render.lowering_tables import lowering_tables
    from ann2sdnn.convert.report.lowering import lowering_warnings
    from ann2sdnn.convert.stages.lower import NETWORK_FILE, export_network

    report = export_network(folder, out, force=force)
    for part in lowering_tables(report):
        console().print(part)
    for warning in lowering_warnings(report):
        print_sentence(f"Warning: {warning}")
    if report.ranges is None:
        print_sentence(
            f"Warning: {folder / REPORT_FILE} does not say what states the lowered network reaches;"
            " convert again to have them measured"
        )
    typer.echo(f"Wrote {out or folder / NETWORK_FILE}")


def simulate(
    given: Given,
    folder: Folder,
    data: Data,
    frames: Annotated[int, typer.Option(help="Frames of the first recording.")] = 8,
    crop: Annotated[
        str | None, typer.Option(help="HxW from the middle of the frames; whole by default.")
    ] = None,
    channel: Annotated[int, typer.Option(help="Camera, 0 to 3.")] = 2,
    model: Annotated[
        str, typer.Option(help="The neuron: corrected, or stock as lava-nc has it.")
    ] = "corrected",
    hang_seconds: Annotated[
        float, typer.Option(help="Give up after so long without progress.")
    ] = 300.0,
    quiet: Quiet = False,
) -> None:
    """Run the exported network in lava-nc and compare every message with slayer."""
    from ann2sdnn.convert.conversion import SPEC_FILE
    from ann2sdnn.data.recordings.recording import open_recordings
    from ann2sdnn.data.sources.dhp19 import plan_runs
    from ann2sdnn.eval.simulate import SimulateOptions, centre_frames, crop_spec
    from ann2sdnn.eval.simulate import simulate as run
    from ann2sdnn.sdnn.spec.file import read_spec

    options = SimulateOptions(
        frames=frames,
        crop=None if crop is None else crop_size(crop, "64x80"),
        channel=channel,
        model=cast("NeuronModel", model),
        hang_seconds=hang_seconds,
    )
    spec = crop_spec(read_spec(folder / SPEC_FILE), options.crop)
    recordings = plan_runs(open_recordings(data)[:1], (channel,), frames)
    pictures = centre_frames(recordings[0], frames, spec.input_shape[1:])
    result = run(
        spec,
        pictures,
        model=options.model,
        hang_seconds=options.hang_seconds,
        reporter=reporter(quiet),
    )
    print_simulation(result)
    if len(pictures) < frames and "frames" in given:
        print_sentence(
            f"The recording has {len(pictures)} frames, fewer than --frames {frames} asked for"
        )
    if result.largest:
        raise typer.Exit(1)


def print_sizes(report: "LoweringReport", original: str = "converted") -> None:
    """Layers, neurons, weights and operations of the ``original`` and of the lowered network."""
    from ann2sdnn.convert.render.lowering_tables import size_parts

    for part in size_parts(report, original):
        console().print(part)


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
