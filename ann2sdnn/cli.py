"""The command line. A command imports what it needs when it runs, so that --help is fast."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn import loihi_commands
from ann2sdnn.cli_options import Data, Force, Quiet, crop_size
from ann2sdnn.errors import Ann2SdnnError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ann2sdnn.progress import Reporter

app = typer.Typer(
    help="Convert a trained ReLU CNN into a sigma-delta network, and measure what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Split(str, Enum):
    """Whose recordings: the paper's subjects 1-12 train, 13-17 test."""

    TRAIN = "train"
    TEST = "test"
    ALL = "all"


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


class BackendName(str, Enum):
    """What runs the SDNN."""

    ENGINE = "engine"
    SLAYER = "slayer"


class Precision(str, Enum):
    """Arithmetic of training."""

    FULL = "32-true"
    BFLOAT16 = "bf16-mixed"
    FLOAT16 = "16-mixed"


class Normalise(str, Enum):
    """What scales event counts to 0..255."""

    FRAME = "frame"
    FIXED = "fixed"


WindowEvents = Annotated[int, typer.Option(help="Events of a frame, over all four cameras.")]
HopEvents = Annotated[
    int | None, typer.Option(help="Events from a frame to the next; overlapping windows.")
]
Out = Annotated[Path, typer.Option(help="Where to write.", show_default=False)]
Seed = Annotated[int, typer.Option(help="Everything random follows from it.")]
Channels = Annotated[str, typer.Option(help="Cameras of a frame file, 0 to 3.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("runs/demo"),
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """The whole pipeline on synthetic data: train, convert, compare. Minutes on two cores."""
    from ann2sdnn.demo import run_demo
    from ann2sdnn.eval.output import HTML_FILE
    from ann2sdnn.eval.tables import print_summary

    evaluation = run_demo(out, seed=seed, force=force, reporter=_reporter(quiet))
    print_summary(evaluation.report, _console(), last_line=f"Report: {out / HTML_FILE}")


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder to create.", show_default=False)],
    subjects: Annotated[int, typer.Option(help="Number of people.")] = 17,
    movements: Annotated[int, typer.Option(help="Movements of each, of DHP19's 33.")] = 33,
    frames: Annotated[int, typer.Option(help="Frames of a recording.")] = 64,
    window_events: WindowEvents = 30_000,
    hop_events: HopEvents = None,
    normalise: Annotated[Normalise, typer.Option(help="Scale of a frame.")] = Normalise.FRAME,
    kinds: Annotated[
        str | None, typer.Option(help="Only these kinds, such as walk,jog,'star jump'.")
    ] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Processes side by side.")] = 1,
    first_subject: Annotated[int, typer.Option(help="Number of the first person.")] = 1,
    raw: Annotated[
        Path | None, typer.Option(help="Folder for the raw recordings, as prepare reads them.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make synthetic DHP19 recordings: frames and labels in the data set's own format."""
    from ann2sdnn.data.synthetic.generate import SynthOptions, synthesise

    options = SynthOptions(
        subjects=subjects,
        movements=movements,
        frames=frames,
        seed=seed,
        workers=workers,
        window_events=window_events,
        hop_events=hop_events,
        fixed_scale=normalise is Normalise.FIXED,
        first_subject=first_subject,
        kinds=None if kinds is None else tuple(kinds.split(",")),
    )
    summary = synthesise(out, options, raw=raw, force=force, reporter=_reporter(quiet))
    typer.echo(f"Wrote {len(summary.recordings)} recordings of {frames} frames to {out}")


@app.command()
def prepare(
    root: Annotated[
        Path, typer.Argument(help="DHP19 with DVS_movies/ and Vicon_data/.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the frames.", show_default=False)],
    window_events: WindowEvents = 30_000,
    hop_events: HopEvents = None,
    normalise: Annotated[Normalise, typer.Option(help="Scale of a frame.")] = Normalise.FRAME,
    workers: Annotated[int, typer.Option(help="Recordings side by side.")] = 1,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Turn raw DHP19 recordings (AEDAT and Vicon files) into frames and labels."""
    from ann2sdnn.data.accumulate import Windows
    from ann2sdnn.data.prepare import PrepareOptions
    from ann2sdnn.data.prepare import prepare as run_prepare

    windows = Windows(window_events, hop_events, fixed_scale=normalise is Normalise.FIXED)
    options = PrepareOptions(windows, workers)
    summary = run_prepare(root, out, options, force=force, reporter=_reporter(quiet))
    for status in ("written", "kept", "skipped"):
        rows = summary.with_status(status)
        frames = sum(row.frames for row in rows)
        typer.echo(f"{status:>8}: {len(rows)} recordings, {frames} frames")
    for row in summary.with_status("skipped"):
        typer.echo(f"  {row}")


@app.command()
def show(
    data: Annotated[Path, typer.Argument(help="Folder with recordings.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("pictures"),
    recording: Annotated[
        str | None, typer.Option(help="Such as S1_session2_mov1; the first by default.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of the animation at most.")] = 48,
    fps: Annotated[float, typer.Option(help="Frames a second of the animation.")] = 10.0,
    force: Force = False,
) -> None:
    """Draw a recording: a contact sheet and an animation, with the labelled skeleton."""
    from ann2sdnn.data.pictures import show as draw
    from ann2sdnn.data.recording import open_recordings

    found = {one.name.stem: one for one in open_recordings(data)}
    name = recording or next(iter(found))
    if name not in found:
        raise UsageError(f"{data} has no recording {name}; it has {', '.join(sorted(found))}")
    files = draw(found[name], out, max_frames=frames, fps=fps, force=force)
    typer.echo(f"Wrote {files.sheet} and {files.animation}")


@app.command("train-ann")
def train_ann(
    data: Data,
    out: Out,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training subjects.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; the schedule follows the time.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step and device.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of RMSprop, before its steps.")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(help="HxW of the windows trained on, or none for whole frames.")
    ] = None,
    channels: Annotated[str | None, typer.Option(help="Cameras, such as 2,3.")] = None,
    validation_frames: Annotated[int | None, typer.Option(help="Pictures to validate on.")] = None,
    seed: Annotated[int | None, typer.Option(help="Everything random follows from it.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, with its options.")
    ] = False,
    devices: Annotated[int | None, typer.Option(help="Devices of this machine.")] = None,
    num_nodes: Annotated[int | None, typer.Option(help="Machines.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Arithmetic.")] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Train the pose network; a checkpoint is kept after every epoch.

    What is not given is TrainOptions' default, or with --resume what the run was started with.
    """
    from ann2sdnn.ann.train import chosen_options, train

    given = {
        "epochs": epochs,
        "max_minutes": max_minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "channels": None if channels is None else _channels(channels),
        "validation_frames": validation_frames,
        "seed": seed,
        "devices": devices,
        "num_nodes": num_nodes,
        "precision": None if precision is None else precision.value,
    }
    changes: dict[str, object] = {name: v for name, v in given.items() if v is not None}
    if crop is not None:
        changes["crop"] = None if crop == "none" else crop_size(crop, "128x96, or none")
    options = chosen_options(out, changes, resume=resume)
    summary = train(data, out, options, resume=resume, force=force, reporter=_reporter(quiet))
    if not summary.is_first_process:
        return
    error = "-" if summary.mpjpe_px is None else f"{summary.mpjpe_px:.2f} px"
    baseline = "-" if summary.baseline_px is None else f"{summary.baseline_px:.2f} px"
    typer.echo(
        f"Trained {summary.epochs} epochs ({summary.steps} steps) in {summary.seconds:.0f} s: error"
        f" {error} on held-out pictures, {baseline} for always answering the mean pose"
    )
    typer.echo(f"Wrote {summary.onnx}")


@app.command("import-ann")
def import_ann(
    source: Annotated[
        Path,
        typer.Argument(help="Published Keras weights, or a checkpoint.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")] = Path("model.onnx"),
    force: Force = False,
) -> None:
    """Bring in the pose network that the data set's authors published, or a checkpoint."""
    from ann2sdnn.ann.keras_import import import_network

    network = import_network(source, out, force=force)
    typer.echo(
        f"Wrote {out}: {network.n_weights:,} weights from a {network.kind} file,"
        f" input scale {network.input_scale:g}"
    )


@app.command()
def convert(
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
        int | None, typer.Option(help="Steps of --distil, whatever time they take.")
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
    from ann2sdnn.calibration.distil import DistilOptions
    from ann2sdnn.calibration.rate_distortion import Memory as MemoryChoice
    from ann2sdnn.calibration.thresholds import ThresholdOptions, ThresholdRule
    from ann2sdnn.convert.conversion import ConvertOptions
    from ann2sdnn.convert.conversion import convert as run_conversion
    from ann2sdnn.convert.quantisation import QuantiseOptions
    from ann2sdnn.convert.tables import report_tables

    options = ConvertOptions(
        thresholds=ThresholdOptions(
            rule=ThresholdRule(thresholds.value),
            value=threshold,
            percent=percentile,
            factor=factor,
            budget_px=budget_px,
            memory=MemoryChoice(memory.value),
            bits=threshold_bits,
        ),
        spike_exp=spike_exp,
        quantise=QuantiseOptions(
            headroom=headroom,
            relays=relays,
            shifts=shifts.value,
            rounding=rounding.value,
            distil=DistilOptions(distil or DistilOptions.minutes, distil_steps, seed=seed)
            if distil or distil_steps
            else None,
        ),
        input_scale=input_scale,
        split=split.value,
        channels=_channels(channels),
        max_frames=frames or None,
        sweep=sweep,
    )
    report = run_conversion(model, calibrate, out, options, force=force, reporter=_reporter(quiet))
    _console().print(report_tables(report))
    typer.echo(f"Wrote {out}")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="A conversion's folder.", show_default=False)],
    data: Data,
    compare: Annotated[tuple[str, str], typer.Option(help="The two networks to compare.")] = (
        "ann",
        "sdnn",
    ),
    backend: Annotated[BackendName, typer.Option(help="Runs the SDNN.")] = BackendName.ENGINE,
    split: Annotated[Split, typer.Option(help="Subjects to evaluate on.")] = Split.TEST,
    channels: Channels = "2,3",
    frames: Annotated[int, typer.Option(help="Pictures over all cameras; 0 for all.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; the conversion's folder by default.")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show the table of layers too.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Run ANN and SDNN on the same frames and compare accuracy, sparsity and cost."""
    from ann2sdnn.eval.evaluate import EvaluateOptions
    from ann2sdnn.eval.evaluate import evaluate as run_evaluation
    from ann2sdnn.eval.output import HTML_FILE
    from ann2sdnn.eval.tables import print_summary

    target = out or folder
    options = EvaluateOptions(
        compare=compare,
        backend=backend.value,
        split=split.value,
        channels=_channels(channels),
        max_frames=frames or None,
        out=target,
        force=force,
    )
    evaluation = run_evaluation(folder, data, options, reporter=_reporter(quiet))
    last_line = f"Report: {target / HTML_FILE}"
    print_summary(evaluation.report, _console(), last_line=last_line, layers=layers)


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="A conversion's folder.", show_default=False)],
    html: Annotated[Path | None, typer.Option(help="Write the tables to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    force: Force = False,
) -> None:
    """Show what a conversion did, layer by layer."""
    from ann2sdnn.convert.report import read_report
    from ann2sdnn.convert.tables import report_tables, write_html

    report = read_report(folder / "report.json")
    if as_json:
        typer.echo(report.model_dump_json(by_alias=True, indent=2))
        return
    if html is not None:
        write_html(report, html, force=force)
        typer.echo(f"Wrote {html}")
        return
    _console().print(report_tables(report))


loihi_commands.register(app)


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    try:
        app()
    except Ann2SdnnError as error:
        sys.stderr.write(f"ann2sdnn: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("ann2sdnn: interrupted\n")
        sys.exit(130)


def _channels(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--channels {text}; expected numbers with commas, such as 2,3") from None


def _reporter(quiet: bool) -> "Reporter":
    from ann2sdnn.progress import reporter_for_terminal

    return reporter_for_terminal(quiet=quiet)


def _console() -> "Console":
    """Standard output, at 80 columns where nobody is watching."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=80, highlight=False)
