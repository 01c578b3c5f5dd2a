"""The command `train-sdnn`: a conversion that goes on learning."""

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
    reporter,
)


def train_sdnn(
    given: Given,
    folder: Annotated[Path, typer.Argument(help="A conversion's folder.", show_default=False)],
    data: Data,
    out: Out,
    penalty: Annotated[
        float,
        typer.Option(help="Loss of 100 million synaptic operations a frame; silence costs 1."),
    ] = 0.6,
    sparsity: Annotated[
        float, typer.Option(help="Share of the weights that is to be 0 at the end.")
    ] = 0.6,
    budget_px: Annotated[
        float | None,
        typer.Option(help="At the end choose thresholds anew, for this distance from the ANN."),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Whose heat maps are to be found: ann or labels.")
    ] = "ann",
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Fresh weights instead of the conversion's.")
    ] = False,
    epochs: Annotated[
        int, typer.Option(help="One run of frames of every recording and camera each.")
    ] = 4,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stop after this time; the schedule follows it.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Runs side by side.")] = 4,
    chunk_frames: Annotated[int, typer.Option(help="Frames of a step.")] = 2,
    chunks: Annotated[int, typer.Option(help="Steps of a run, the state carried over.")] = 1,
    learning_rate: Annotated[
        float, typer.Option(help="Of weights, in their root mean square a step.")
    ] = 3e-3,
    threshold_rate: Annotated[
        float, typer.Option(help="Of thresholds, in themselves a step; 0 keeps them.")
    ] = 0.0,
    crop: Annotated[
        str, typer.Option(help="HxW of the windows trained on, or none for whole frames.")
    ] = "192x96",
    channels: Channels = "2,3",
    validation_frames: Annotated[
        int, typer.Option(help="Whole pictures that the engine runs after each epoch.")
    ] = 64,
    verified_frames: Annotated[
        int, typer.Option(help="Training frames on which ranges are counted at the end.")
    ] = 128,
    pictures_every: Annotated[int, typer.Option(help="Epochs from one drawing to the next.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, or as torch names it.")] = "cpu",
    workers: Annotated[
        int | None, typer.Option(help="Processes that read data; chosen by default.")
    ] = None,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, with its options.")
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a converted SDNN in slayer on labels, for fewer synaptic operations.

    With --resume, what is not given is what the run was started with.
    """
    from ann2sdnn.convert.fine_tuning.fine_tune import chosen_options, fine_tune

    given.not_with("resume", "force")
    values: dict[str, object] = {
        "penalty": penalty,
        "sparsity": sparsity,
        "budget_px": budget_px,
        "target": target,
        "scratch": scratch,
        "epochs": epochs,
        "max_minutes": max_minutes,
        "batch_size": batch_size,
        "chunk_frames": chunk_frames,
        "chunks": chunks,
        "learning_rate": learning_rate,
        "threshold_rate": threshold_rate,
        "crop": None if crop == "none" else crop_size(crop, "192x96, or none"),
        "channels": parsed_channels(channels),
        "validation_frames": validation_frames,
        "verified_frames": verified_frames,
        "pictures_every": pictures_every,
        "device": device,
        "workers": workers,
        "seed": seed,
    }
    changes = {name: value for name, value in values.items() if name in given}
    options = chosen_options(out, changes, resume=resume)
    result = fine_tune(
        folder, data, out, options, resume=resume, force=force, reporter=reporter(quiet)
    )
    lines = [
        (name, one.mpjpe_px, one.validation_synops_per_frame)
        for name, one in (("Before", result.first), ("After", result.last))
    ]
    if result.anew is not None:
        lines.append(("Anew", result.anew.mpjpe_px, result.anew.synops_per_frame))
    for name, px, operations in lines:
        error = "-" if px is None else f"{px:.2f} px"
        typer.echo(
            f"{name:<7}{error:>10}, {operations / 1e6:.1f} million synaptic operations a frame"
        )
    for warning in result.report.warnings:
        typer.echo(f"Warning: {warning}")
    typer.echo(f"Wrote {out}")
