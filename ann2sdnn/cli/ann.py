"""The commands `train-ann` and `import-ann`: the network to convert."""

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
    crop_size,
    parsed_channels,
    print_sentence,
    reporter,
)


class Precision(str, Enum):
    """Arithmetic of training."""

    FULL = "32-true"
    BFLOAT16 = "bf16-mixed"
    FLOAT16 = "16-mixed"


def train_ann(
    given: Given,
    data: Data,
    out: Out,
    epochs: Annotated[int, typer.Option(help="Passes over the training subjects.")] = 30,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; the schedule follows the time.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Pictures a step and device.")] = 2,
    learning_rate: Annotated[
        float,
        typer.Option(
            help="Of RMSprop, before its steps.", show_default="0.001; 0.0002 with --init"
        ),
    ] = 1e-3,
    init: Annotated[
        Path | None,
        typer.Option(help="Network to start from: ONNX file, checkpoint, published Keras file."),
    ] = None,
    conversion_aware: Annotated[
        bool,
        typer.Option(
            "--conversion-aware", help="End the training on lava's grid, for an exact conversion."
        ),
    ] = False,
    aware_share: Annotated[
        float,
        typer.Option(help="Share of the training on the grid.", show_default="0.4; 1 with --init"),
    ] = 0.4,
    crop: Annotated[
        str, typer.Option(help="HxW of the windows trained on, or none for whole frames.")
    ] = "192x96",
    channels: Channels = "2,3",
    validation_frames: Annotated[int, typer.Option(help="Pictures to validate on.")] = 64,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, with its options.")
    ] = False,
    devices: Annotated[int, typer.Option(help="Devices of this machine.")] = 1,
    num_nodes: Annotated[int, typer.Option(help="Machines.")] = 1,
    precision: Annotated[Precision, typer.Option(help="Arithmetic.")] = Precision.FULL,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Train the pose network; a checkpoint is kept after every epoch.

    With --resume, what is not given is what the run was started with.
    """
    from ann2sdnn.ann.training.on_grid import GridStage
    from ann2sdnn.ann.training.train import chosen_options, train

    given.not_with("resume", "force")
    values: dict[str, object] = {
        "epochs": epochs,
        "max_minutes": max_minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "init": None if init is None else str(init),
        "conversion_aware": conversion_aware,
        "aware_share": aware_share,
        "crop": None if crop == "none" else crop_size(crop, "128x96, or none"),
        "channels": parsed_channels(channels),
        "validation_frames": validation_frames,
        "seed": seed,
        "devices": devices,
        "num_nodes": num_nodes,
        "precision": precision.value,
    }
    changes = {name: value for name, value in values.items() if name in given}
    options = chosen_options(out, changes, resume=resume)
    given.only_if(options.conversion_aware, "aware_share", needs="--conversion-aware")
    summary = train(
        data,
        out,
        options,
        final_stage=GridStage(),
        resume=resume,
        force=force,
        reporter=reporter(quiet),
    )
    if not summary.is_first_process:
        return
    error = "-" if summary.mpjpe_px is None else f"{summary.mpjpe_px:.2f} px"
    baseline = "-" if summary.baseline_px is None else f"{summary.baseline_px:.2f} px"
    print_sentence(
        f"Trained {summary.epochs} epochs ({summary.steps} steps) in {summary.seconds:.0f} s: error"
        f" {error} on held-out pictures, {baseline} for always answering the mean pose"
    )
    typer.echo(f"Wrote {summary.onnx}")


def import_ann(
    source: Annotated[
        Path,
        typer.Argument(help="Published Keras weights, or a checkpoint.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")] = Path("model.onnx"),
    force: Force = False,
) -> None:
    """Bring in the pose network that the data set's authors published, or a checkpoint."""
    from ann2sdnn.ann.weights.keras import import_network

    network = import_network(source, out, force=force)
    typer.echo(
        f"Wrote {out}: {network.n_weights:,} weights from a {network.kind} file,"
        f" input scale {network.input_scale:g}"
    )
