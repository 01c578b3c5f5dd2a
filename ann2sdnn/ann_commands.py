"""The commands `train-ann` and `import-ann`: the network to convert."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ann2sdnn.cli_options import Data, Force, Out, Quiet, crop_size, parsed_channels, reporter


class Precision(str, Enum):
    """Arithmetic of training."""

    FULL = "32-true"
    BFLOAT16 = "bf16-mixed"
    FLOAT16 = "16-mixed"


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
        float | None, typer.Option(help="Share of the training on the grid: 0.4, 1 with --init.")
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

    What is not given is TrainOptions' default (with --init that of fine-tuning), or with --resume
    what the run was started with.
    """
    from ann2sdnn.ann.train import chosen_options, train
    from ann2sdnn.convert.aware import GridStage

    given = {
        "epochs": epochs,
        "max_minutes": max_minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "init": None if init is None else str(init),
        "conversion_aware": conversion_aware or None,
        "aware_share": aware_share,
        "channels": None if channels is None else parsed_channels(channels),
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
    typer.echo(
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
    from ann2sdnn.ann.keras_import import import_network

    network = import_network(source, out, force=force)
    typer.echo(
        f"Wrote {out}: {network.n_weights:,} weights from a {network.kind} file,"
        f" input scale {network.input_scale:g}"
    )


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("train-ann")(train_ann)
    app.command("import-ann")(import_ann)
