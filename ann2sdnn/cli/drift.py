"""The command `drift`: what lava's stock neuron does to a converted network over many frames."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import (
    Data,
    Force,
    Out,
    Quiet,
    console,
    crop_size,
    parsed_numbers,
    reporter,
)
from ann2sdnn.support.errors import UsageError


def drift(
    given: Given,
    folder: Annotated[Path, typer.Argument(help="A conversion's folder.", show_default=False)],
    data: Data,
    out: Out,
    frames: Annotated[
        int, typer.Option(help="How many; a shorter recording is played forwards and backwards.")
    ] = 2000,
    crop: Annotated[
        str | None, typer.Option(help="HxW from the middle of the frames; whole by default.")
    ] = None,
    resets: Annotated[
        str, typer.Option(help="Reset the stock neuron every so many frames; none for none.")
    ] = "8,32",
    channel: Annotated[int, typer.Option(help="Camera, 0 to 3.")] = 2,
    recording: Annotated[
        str | None, typer.Option(help="Such as S1_session2_mov1; the longest by default.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure how far lava's stock neuron drifts from the ANN, and what resets cost and mend."""
    from ann2sdnn.eval.drift.drift import DriftOptions
    from ann2sdnn.eval.drift.drift import drift as run
    from ann2sdnn.eval.drift.output import (
        DRIFT_PICTURE_FILE,
        check_drift_files,
        print_drift,
        write_drift,
    )

    options = DriftOptions(
        frames=frames,
        crop=None if crop is None else crop_size(crop, "96x128"),
        channel=channel,
        resets=_periods(resets),
        recording=recording,
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


def _periods(text: str) -> tuple[int, ...]:
    """The periods of a --resets such as 8,32."""
    if text == "none":
        return ()
    return parsed_numbers("--resets", text, "numbers with commas, or none")
