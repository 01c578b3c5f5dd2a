"""The conversion in sentences, for the terminal and the page."""

from collections.abc import Iterable, Iterator, Sequence

from ann2sdnn.convert.report.report import ConversionReport, PlanReport
from ann2sdnn.data.sources.frames import GroupName
from ann2sdnn.support.terminal import counted, number

_NAMED = 40  # recordings or sequences


def summary_lines(report: ConversionReport) -> tuple[str, ...]:
    """Calibration data, measured and predicted error, and the plan."""
    return (
        f"Calibrated on {report.calibration_frames} frames {_runs(report)}of"
        f" {counted(len(report.calibration_recordings), report.group_name)}",
        f"Thresholds: {report.thresholds}; spike_exp {report.spike_exp};"
        f" headroom x{report.headroom:.3g}; {_unit(report)}",
        *_input_lines(report),
        f"SDNN against ANN on the calibration frames: {_fidelity(report)}",
        *_plan_lines(report.plan),
    )


def _runs(report: ConversionReport) -> str:
    """How many sequences there were, where each recording has several, one per camera."""
    if report.calibration_runs == len(report.calibration_recordings):
        return ""
    return f"in {counted(report.calibration_runs, 'run')} "


def named_groups(group: GroupName, names: Sequence[str]) -> str:
    """The names of recordings or sequences in a sentence; of many, the first ones."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{group.capitalize()}s: {', '.join(names[:_NAMED])}{more}."


def _unit(report: ConversionReport) -> str:
    """What a value of 1 enters as."""
    if isinstance(report.input_gain, int):
        return f"an input count of 1 is {counted(report.input_gain, 'message unit')}"
    return f"an input value of 1 is {report.input_gain:.4g} message units"


def _input_lines(report: ConversionReport) -> Iterator[str]:
    """The preprocessing of frames, where there is any."""
    own = report.preprocessing
    if own is None:
        return
    steps = [f"resized to {own.resize[0]}x{own.resize[1]}"] if own.resize else []
    steps += [f"times {report.input_scale:.4g}"]
    steps += [f"less the mean {_listed(own.mean)}"] if own.mean else []
    steps += [f"over the deviation {_listed(own.std)}"] if own.std else []
    offset = f"; the mean is {_listed(own.offset)} message units" if own.offset else ""
    yield f"Input: {own.dtype} frames {', '.join(steps)}{offset}"
    if own.value_min is not None and own.value_max is not None:
        yield (
            f"Values from {own.value_min:.4g} to {own.value_max:.4g} enter the network; others are"
            " refused"
        )


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _fidelity(report: ConversionReport) -> str:
    fidelity = report.fidelity
    error = number(fidelity.heatmap_relative_error, ".3f")
    if fidelity.foreseen_relative_error is not None:
        error += f" (predicted {fidelity.foreseen_relative_error:.3f})"
    if fidelity.same_class is not None:
        return f"output error {error}, the same class for {fidelity.same_class:.1%}"
    if fidelity.displacement_px_mean is None:
        return f"output error {error}"
    return (
        f"heat-map error {error}, joints displaced {number(fidelity.displacement_px_mean, '.2f')}"
        f" px (median {number(fidelity.displacement_px_median, '.2f')}),"
        f" {number(fidelity.moved_over_5px, '.1%')} by more than 5 px"
    )


def _plan_lines(plan: PlanReport) -> list[str]:
    # Weights that were on the grid already are checked on all frames.
    held_out = "held-out " if 0 < plan.checked_frames <= plan.held_out_frames else ""
    lines = [
        f"Rounding: {plan.rounding}; shifts: {plan.shifts}; predicted to change the output by"
        f" {plan.foreseen_error:.3f} (nearest {plan.foreseen_error_nearest:.3f});"
        f" {plan.checked_frames} {held_out}frames use {plan.held_out_range_used:.0%} of the range"
    ]
    if plan.relays:
        errors = " -> ".join(f"{error:.3f}" for error in plan.foreseen_error_by_relays)
        before = dict.fromkeys(relay.before for relay in plan.relays)
        steps = len(plan.relays) if plan.relay_steps is None else plan.relay_steps
        lines.append(
            f"Relays before {', '.join(before)}:"
            f" {plan.relay_neurons:,} neurons, {plan.relay_events_per_frame:,.0f} messages per"
            f" frame, {counted(steps, 'time step')}; predicted error after each"
            f" (nearest) {errors}"
        )
    if plan.distillation is not None:
        lines.append(
            f"Distillation: {plan.distillation.steps} steps, error on held-out frames"
            f" {plan.distillation.held_out_error_before:.4f} ->"
            f" {plan.distillation.held_out_error_after:.4f}"
        )
    return lines
