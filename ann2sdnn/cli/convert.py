"""The commands `convert` and `inspect`: the conversion and its report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import Data, Folder, Force, Out, Quiet, console, reporter
from ann2sdnn.cli.parsing.derive import Given

if TYPE_CHECKING:
    from ann2sdnn.convert.options import ConvertOptions


def convert(
    model: Annotated[
        Path,
        typer.Argument(
            help="ONNX file of the ANN, or pretrained: the pose network that comes along.",
            show_default=False,
        ),
    ],
    calibrate: Data,
    out: Out,
    options: "ConvertOptions",
    given: Given,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Convert an ANN into a sigma-delta network, calibrated on frames like those of its use.

    Thresholds are chosen by rate and distortion: the fewest operations for a
    budget of error that they may add, 0.2 px for heat maps of joints.

    Example: ann2sdnn convert model.onnx --calibrate recordings --out sdnn
    """
    from ann2sdnn.ann.network import is_pose_network
    from ann2sdnn.ann.weights.pretrained import model_file
    from ann2sdnn.calibration.thresholds.rules import NoThresholds
    from ann2sdnn.convert.conversion import convert as run_conversion
    from ann2sdnn.convert.render.document import report_tables

    has_thresholds = not isinstance(options.thresholds, NoThresholds)
    needs = "a --thresholds other than none, or --sweep"
    given.only_if(has_thresholds or options.sweep, "threshold_bits", needs=needs)
    given.not_with("distil", "distil_steps")
    report = run_conversion(
        model_file(model),
        calibrate,
        out,
        options,
        force=force,
        is_trainable=is_pose_network,
        reporter=reporter(quiet),
    )
    console().print(report_tables(report))
    typer.echo(f"Wrote {out}")


def inspect(
    folder: Folder,
    given: Given,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show each layer of a network of more than 24.")
    ] = False,
    loihi: Annotated[
        bool, typer.Option("--loihi", help="Show the cores of Loihi 2 of each layer, an estimate.")
    ] = False,
    force: Force = False,
) -> None:
    """Show what a conversion did, layer by layer.

    Example: ann2sdnn inspect sdnn --html report.html
    """
    from ann2sdnn.convert.folder import REPORT_FILE, conversion_files
    from ann2sdnn.convert.render.document import report_tables
    from ann2sdnn.convert.render.loihi import OPTION
    from ann2sdnn.convert.report.report import read_report
    from ann2sdnn.support.files.targets import check_file

    given.not_with("as_json", "html")
    given.not_with("as_json", "layers")
    given.not_with("html", "layers")
    given.not_with("as_json", "loihi")
    given.not_with("html", "loihi")
    given.only_if("html" in given, "force", needs="--html")
    inputs = conversion_files(folder)
    if html is not None:
        check_file(html, force=force, inputs=inputs)
    report = read_report(folder / REPORT_FILE)
    if report.loihi is None:
        # Only here: it loads the libraries that run networks.
        from ann2sdnn.convert.stages.loihi import with_estimate

        report = with_estimate(report, folder)
    if as_json:
        typer.echo(report.model_dump_json(by_alias=True, indent=2))
        return
    if html is not None:
        from ann2sdnn.convert.render.document import write_html

        write_html(report, html, force=force, inputs=inputs)
        typer.echo(f"Wrote {html}")
        return
    options = (OPTION,) if loihi else ()
    console().print(report_tables(report, layers=layers, options=options))
