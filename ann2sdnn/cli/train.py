"""The commands `train-ann`, `import-ann` and `train-sdnn`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import (
    Data,
    Folder,
    Force,
    Out,
    Quiet,
    Recordings,
    Resume,
    print_sentence,
    reporter,
)
from ann2sdnn.cli.parsing.derive import Given, Typed

if TYPE_CHECKING:
    from ann2sdnn.ann.training.options import TrainOptions
    from ann2sdnn.data.sources.options import OtherData
    from ann2sdnn.sdnn.training.options import SdnnTrainOptions


def train_ann(
    data: Recordings,
    out: Out,
    changes: "Typed[TrainOptions]",
    given: Given,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Train the pose network; a checkpoint is kept after every epoch.

    With --resume, options that are not given keep the values the run was started with.

    Example: ann2sdnn train-ann --data recordings --out run --conversion-aware
    """
    from ann2sdnn.ann.training.run_folder import TrainFolder
    from ann2sdnn.ann.training.train import train

    given.not_with("resume", "force")
    options = TrainFolder(out).chosen_options(changes.values, resume=resume)
    given.only_if(options.conversion_aware, "aware_share", needs="--conversion-aware")
    summary = train(data, out, options, resume=resume, force=force, reporter=reporter(quiet))
    if not summary.is_first_process:
        return
    state = summary.state
    error = "-" if summary.last.mpjpe_px is None else f"{summary.last.mpjpe_px:.2f} px"
    baseline = "-" if summary.baseline_px is None else f"{summary.baseline_px:.2f} px"
    print_sentence(
        f"Trained {state.epoch} epochs ({state.step} steps) in {state.elapsed_s:.0f} s: error"
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
    """Import the pose network that the data set's authors published, or a checkpoint.

    Example: ann2sdnn import-ann DHP_CNN.model --out model.onnx
    """
    from ann2sdnn.ann.weights.keras import import_network

    network = import_network(source, out, force=force)
    typer.echo(
        f"Wrote {out}: {network.n_weights:,} weights from a {network.kind} file,"
        f" input scale {network.input_scale:g}"
    )


def train_sdnn(
    folder: Folder,
    data: Data,
    out: Out,
    changes: "Typed[SdnnTrainOptions]",
    other: "OtherData",
    given: Given,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a converted SDNN in slayer, for fewer synaptic operations.

    With --resume, options that are not given keep the values the run was started with.

    Example: ann2sdnn train-sdnn sdnn --data recordings --out fine --epochs 8
    """
    from ann2sdnn.convert.fine_tuning.fine_tune import fine_tune
    from ann2sdnn.data.sources.dhp19 import Dhp19Source
    from ann2sdnn.data.sources.registry import source_of
    from ann2sdnn.sdnn.training.check import validation_error
    from ann2sdnn.sdnn.training.run_folder import SdnnRunFolder
    from ann2sdnn.support.terminal import compact

    given.not_with("resume", "force")
    is_recorded = isinstance(source_of(data), Dhp19Source)
    given.only_if(is_recorded, "channels", needs="DHP19 recordings as --data")
    options = SdnnRunFolder(out).chosen_options(changes.values, resume=resume)
    result = fine_tune(
        folder,
        data,
        out,
        options,
        chosen=other.source,
        resume=resume,
        force=force,
        reporter=reporter(quiet),
    )
    lines = [
        (
            name,
            validation_error(epoch.mpjpe_px, epoch.relative_error),
            epoch.validation_synops_per_frame,
        )
        for name, epoch in (("Before", result.first), ("After", result.last))
    ]
    again = result.rechecked
    if again is not None:
        error = validation_error(again.mpjpe_px, again.relative_error)
        lines.append(("Chosen again", error, again.synops_per_frame))
    for name, error, operations in lines:
        count = compact(operations)
        typer.echo(f"{name:<13}{error:>10}, {count} synaptic operations per frame")
    for warning in result.report.warnings:
        typer.echo(f"Warning: {warning}")
    typer.echo(f"Wrote {out}")
