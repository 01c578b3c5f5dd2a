"""The command `train-sdnn`: training a converted SDNN further in slayer."""

import typer

from ann2sdnn.cli.derive import Given, Typed
from ann2sdnn.cli.options import Data, Folder, Force, Out, Quiet, Resume, reporter
from ann2sdnn.sdnn.training.options import SdnnTrainOptions


def train_sdnn(
    folder: Folder,
    data: Data,
    out: Out,
    changes: Typed[SdnnTrainOptions],
    given: Given,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a converted SDNN in slayer on labels, for fewer synaptic operations.

    With --resume, options that are not given keep the values the run was started with.

    Example: ann2sdnn train-sdnn sdnn --data recordings --out fine --epochs 8
    """
    from ann2sdnn.convert.fine_tuning.fine_tune import fine_tune
    from ann2sdnn.sdnn.training.run_folder import SdnnRunFolder

    given.not_with("resume", "force")
    options = SdnnRunFolder(out).chosen_options(changes.values, resume=resume)
    result = fine_tune(
        folder, data, out, options, resume=resume, force=force, reporter=reporter(quiet)
    )
    lines = [
        (name, one.mpjpe_px, one.validation_synops_per_frame)
        for name, one in (("Before", result.first), ("After", result.last))
    ]
    if result.rechecked is not None:
        lines.append(("Anew", result.rechecked.mpjpe_px, result.rechecked.synops_per_frame))
    for name, px, operations in lines:
        error = "-" if px is None else f"{px:.2f} px"
        typer.echo(
            f"{name:<7}{error:>10}, {operations / 1e6:.1f} million synaptic operations a frame"
        )
    for warning in result.report.warnings:
        typer.echo(f"Warning: {warning}")
    typer.echo(f"Wrote {out}")
