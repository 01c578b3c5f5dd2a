"""The command `drift`: what lava's stock neuron does to a converted network over many frames."""

from dataclasses import replace

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import Data, Folder, Force, Out, Quiet, console, reporter
from ann2sdnn.eval.drift.drift import DriftOptions
from ann2sdnn.support.errors import UsageError


def drift(
    folder: Folder,
    data: Data,
    out: Out,
    options: DriftOptions,
    given: Given,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure how far lava's stock neuron drifts from the ANN, and what resets cost and mend.

    Example: ann2sdnn drift sdnn --data recordings --out drift --resets 8,32
    """
    from ann2sdnn.eval.drift.drift import drift as run
    from ann2sdnn.eval.drift.output import (
        DRIFT_PICTURE_FILE,
        check_drift_files,
        print_drift,
        write_drift,
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
