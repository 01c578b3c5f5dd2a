"""The conversion in sentences: what the terminal and the page both begin with."""

from ann2sdnn.convert.render.sheets import number
from ann2sdnn.convert.report.report import ConversionReport, PlanReport


def summary_lines(report: ConversionReport) -> list[str]:
    """What was calibrated on, what was measured beside what was foreseen, and the plan."""
    lines = [
        f"Calibrated on {report.calibration_frames} frames in {report.calibration_runs} runs of"
        f" {len(report.calibration_recordings)} recordings",
        f"Thresholds: {report.thresholds}; spike_exp {report.spike_exp};"
        f" headroom x{report.headroom:.3g}; a pixel's count enters as {report.input_gain} message"
        f" unit{'' if report.input_gain == 1 else 's'}",
        f"SDNN against ANN on the calibration frames: {_fidelity(report)}",
    ]
    if report.plan is not None:
        lines += _plan_lines(report.plan)
    return lines


def _fidelity(report: ConversionReport) -> str:
    fidelity, last = report.fidelity, report.layers[-1]
    one_pixel = last.outputs is not None and last.outputs == last.channels
    error = number(fidelity.heatmap_relative_error, ".3f")
    if fidelity.foreseen_relative_error is not None:
        error += f" (foreseen {fidelity.foreseen_relative_error:.3f})"
    if fidelity.same_class is not None:
        return f"output error {error}, the same class for {fidelity.same_class:.1%}"
    if one_pixel:
        return f"output error {error}"
    return (
        f"heat-map error {error}, joints displaced {number(fidelity.displacement_px_mean, '.2f')}"
        f" px (median {number(fidelity.displacement_px_median, '.2f')}),"
        f" {number(fidelity.moved_over_5px, '.1%')} by more than 5 px"
    )


def _plan_lines(plan: PlanReport) -> list[str]:
    lines = [
        f"Rounding: {plan.rounding}; shifts: {plan.shifts}; it is foreseen to change the output by"
        f" {plan.foreseen_error:.3f} (nearest {plan.foreseen_error_nearest:.3f});"
        f" {_checked(plan)} use {plan.held_out_range_used:.0%} of the range"
    ]
    if plan.relays:
        errors = " -> ".join(f"{error:.3f}" for error in plan.foreseen_error_by_relays)
        lines.append(
            f"Relays before {', '.join(relay.before for relay in plan.relays)}:"
            f" {plan.relay_neurons:,} neurons, {plan.relay_events_per_frame:,.0f} messages a frame,"
            f" {len(plan.relays)} time steps; error foreseen with each more (nearest) {errors}"
        )
    if plan.distillation is not None:
        lines.append(
            f"Distillation: {plan.distillation.steps} steps, error on frames kept apart"
            f" {plan.distillation.held_out_error_before:.4f} ->"
            f" {plan.distillation.held_out_error_after:.4f}"
        )
    return lines


def _checked(plan: PlanReport) -> str:
    n_frames = plan.checked_frames
    if n_frames is None:  # as older files have it
        return f"{plan.held_out_frames} frames kept apart" if plan.held_out_frames else "the frames"
    # Weights that were on the grid already are checked on all frames.
    apart = " kept apart" if 0 < n_frames <= plan.held_out_frames else ""
    return f"{n_frames} frames{apart}"
