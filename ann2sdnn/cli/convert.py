"""The commands `convert` and `inspect`: the conversion and its report."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import (
    Channels,
    Data,
    Force,
    Out,
    Quiet,
    Seed,
    Split,
    console,
    parsed_channels,
    reporter,
)


class Thresholds(str, Enum):
    """How thresholds are chosen."""

    NONE = "none"
    FIXED = "fixed"
    PERCENTILE = "percentile"
    MEAN_DELTA = "mean-delta"
    RATE_DISTORTION = "rate-distortion"


class Shifts(str, Enum):
    """Right shift between state and message: 6 bits everywhere, or one for each layer."""

    STOCK = "stock"
    PER_LAYER = "per-layer"


class Rounding(str, Enum):
    """How weights are rounded."""

    NEAREST = "nearest"
    GPTQ = "gptq"


class Memory(str, Enum):
    """Which layers keep what they sent: all, as lava needs it, or only those where it pays."""

    ALL = "all"
    MIXED = "mixed"


def convert(
    given: Given,
    model: Annotated[Path, typer.Argument(help="ONNX file of the ANN.", show_default=False)],
    calibrate: Data,
    out: Out,
    thresholds: Annotated[Thresholds, typer.Option(help="Threshold rule.")] = Thresholds.NONE,
    threshold: Annotated[
        float, typer.Option(help="For fixed: in units of the scaled activation, as in slayer.")
    ] = 0.1,
    percentile: Annotated[
        float, typer.Option(help="For percentile: of the changes of each layer.")
    ] = 50.0,
    factor: Annotated[
        float, typer.Option(help="For mean-delta: times the mean change of each layer.")
    ] = 1.0,
    budget_px: Annotated[
        float, typer.Option(help="For rate-distortion: mean displacement of joints allowed.")
    ] = 0.1,
    memory: Annotated[
        Memory, typer.Option(help="For rate-distortion: may layers be memoryless (engine only)?")
    ] = Memory.ALL,
    threshold_bits: Annotated[
        int, typer.Option(help="Binary places of thresholds beyond netx's 1/64, 0 to 6.")
    ] = 0,
    spike_exp: Annotated[int, typer.Option(help="lava's decimal place of a message.")] = 6,
    headroom: Annotated[
        float, typer.Option(help="Limit of the range over the largest seen.")
    ] = 1.25,
    relays: Annotated[
        int, typer.Option(help="Relay layers: more accurate, more messages and latency.")
    ] = 0,
    shifts: Annotated[
        Shifts, typer.Option(help="Right shift of states: netx's, or one a layer (no netx).")
    ] = Shifts.STOCK,
    rounding: Annotated[
        Rounding, typer.Option(help="Weights to the nearest, or with errors made up for.")
    ] = Rounding.GPTQ,
    distil: Annotated[
        float, typer.Option(help="Minutes to fine-tune the integer weights; 0 for none.")
    ] = 0.0,
    distil_steps: Annotated[
        int | None, typer.Option(help="Steps instead of minutes, whatever time they take.")
    ] = None,
    seed: Seed = 0,
    input_scale: Annotated[
        float | None, typer.Option(help="A uint8 pixel times this is the network's input.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Subjects to calibrate on.")] = Split.TRAIN,
    channels: Channels = "2,3",
    frames: Annotated[int, typer.Option(help="Calibration frames; 0 for all.")] = 256,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also draw operations against px for every rule.")
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Convert an ANN into a sigma-delta network, calibrated on recordings."""
    from ann2sdnn.ann.network import is_pose_network
    from ann2sdnn.calibration.learning.distil import DistilOptions
    from ann2sdnn.calibration.thresholds.rules import RULES
    from ann2sdnn.convert.conversion import ConvertOptions
    from ann2sdnn.convert.conversion import convert as run_conversion
    from ann2sdnn.convert.render.terminal import report_tables
    from ann2sdnn.convert.stages.quantise import QuantiseOptions
    from ann2sdnn.data.sources.dhp19 import Dhp19Options

    _refuse_ineffective(given, thresholds)
    own_options: dict[Thresholds, dict[str, object]] = {
        Thresholds.NONE: {},
        Thresholds.FIXED: {"value": threshold},
        Thresholds.PERCENTILE: {"percent": percentile},
        Thresholds.MEAN_DELTA: {"factor": factor},
        Thresholds.RATE_DISTORTION: {"budget_px": budget_px, "memory": memory.value},
    }
    fine_tuning = DistilOptions(distil or DistilOptions.minutes, distil_steps, seed=seed)
    options = ConvertOptions(
        thresholds=RULES[thresholds.value](**own_options[thresholds]),
        threshold_bits=threshold_bits,
        spike_exp=spike_exp,
        quantise=QuantiseOptions(
            headroom=headroom,
            relays=relays,
            shifts=shifts.value,
            rounding=rounding.value,
            distil=None if distil == 0 and distil_steps is None else fine_tuning,
        ),
        input_scale=input_scale,
        split=split.value,
        source=Dhp19Options(parsed_channels(channels)) if "channels" in given else None,
        max_frames=None if frames == 0 else frames,
        sweep=sweep,
    )
    report = run_conversion(
        model,
        calibrate,
        out,
        options,
        force=force,
        is_trainable=is_pose_network,
        reporter=reporter(quiet),
    )
    console().print(report_tables(report))
    typer.echo(f"Wrote {out}")


def _refuse_ineffective(given: Given, thresholds: Thresholds) -> None:
    """UsageError for options of another threshold rule than ``thresholds``."""
    rules = {
        Thresholds.FIXED: ("threshold",),
        Thresholds.PERCENTILE: ("percentile",),
        Thresholds.MEAN_DELTA: ("factor",),
        Thresholds.RATE_DISTORTION: ("budget_px", "memory"),
    }
    for rule, names in rules.items():
        given.only_if(thresholds is rule, *names, needs=f"--thresholds {rule.value}")
    given.only_if(
        thresholds is not Thresholds.NONE or "sweep" in given,
        "threshold_bits",
        needs="a --thresholds other than none, or --sweep",
    )
    given.not_with("distil", "distil_steps")


def inspect(
    given: Given,
    folder: Annotated[Path, typer.Argument(help="A conversion's folder.", show_default=False)],
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    force: Force = False,
) -> None:
    """Show what a conversion did, layer by layer."""
    from ann2sdnn.convert.folder import REPORT_FILE, conversion_files
    from ann2sdnn.convert.render.terminal import report_tables
    from ann2sdnn.convert.report.report import read_report
    from ann2sdnn.support.files.targets import check_file

    given.not_with("as_json", "html")
    given.only_if("html" in given, "force", needs="--html")
    inputs = conversion_files(folder)
    if html is not None:
        check_file(html, force=force, inputs=inputs)
    report = read_report(folder / REPORT_FILE)
    if as_json:
        typer.echo(report.model_dump_json(by_alias=True, indent=2))
        return
    if html is not None:
        from ann2sdnn.convert.render.page import write_html

        write_html(report, html, force=force, inputs=inputs)
        typer.echo(f"Wrote {html}")
        return
    console().print(report_tables(report))
