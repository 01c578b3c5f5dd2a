"""The conversion report as tables of at most 80 columns."""

import io
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ann2sdnn.convert.report import ConversionReport, Fidelity, PlanReport
from ann2sdnn.convert.tuning_tables import tuning_tables
from ann2sdnn.files import atomic_file

WIDTH = 80


def report_tables(report: ConversionReport) -> RenderableType:
    """Everything `inspect` shows."""
    parts: list[RenderableType] = [_summary(report), _range_table(report), _activity_table(report)]
    if report.plan is not None:
        parts.insert(1, _plan_text(report.plan))
    parts.extend(tuning_tables(report))
    if report.warnings:
        parts.append(Text("Warnings", style="bold"))
        parts.extend(Text(f"- {warning}") for warning in report.warnings)
    return Group(*parts)


def write_html(report: ConversionReport, path: Path, *, force: bool) -> None:
    """The same tables as one self-contained HTML file."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(report_tables(report))
    with atomic_file(path, force=force) as temporary:
        temporary.write_text(console.export_html(), encoding="utf-8")


def _summary(report: ConversionReport) -> RenderableType:
    fidelity = report.fidelity
    lines = [
        f"Calibrated on {report.calibration_frames} frames in {report.calibration_runs} runs of"
        f" {len(report.calibration_recordings)} recordings",
        f"Thresholds: {report.thresholds}; spike_exp {report.spike_exp};"
        f" headroom x{report.headroom:g}; a pixel enters as {report.input_gain} message units"
        " a count",
        f"SDNN against ANN on the calibration frames: {_fidelity_text(fidelity)}",
    ]
    return Text("\n".join(lines))


def _fidelity_text(fidelity: Fidelity) -> str:
    error = _number(fidelity.heatmap_relative_error, ".3f")
    if fidelity.same_class is not None:
        return f"output error {error}, the same class for {fidelity.same_class:.1%}"
    return (
        f"heat-map error {error}, joints displaced {_number(fidelity.displacement_px_mean, '.2f')}"
        f" px (median {_number(fidelity.displacement_px_median, '.2f')}),"
        f" {_number(fidelity.moved_over_5px, '.1%')} by more than 5 px"
    )


def _plan_text(plan: PlanReport) -> RenderableType:
    lines = [
        f"Rounding: {plan.rounding}; shifts: {plan.shifts}; heat-map error foreseen"
        f" {plan.foreseen_error:.3f} (nearest {plan.foreseen_error_nearest:.3f});"
        f" {plan.held_out_frames} frames kept apart use {plan.held_out_range_used:.0%} of the range"
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
    return Text("\n".join(lines))


def _range_table(report: ConversionReport) -> Table:
    table = _table("Range (state, msg: bits left at the largest value)")
    for heading in ("layer", "op", "scale", "levels", "SNR dB", "state", "msg", "limited by"):
        table.add_column(heading, justify="left" if heading in _TEXT else "right", no_wrap=True)
    for layer in report.layers:
        table.add_row(
            layer.name,
            layer.op,
            f"{layer.scale:.3g}",
            str(layer.weight_levels),
            _number(layer.weight_snr_db, ".1f"),
            f"{layer.state_headroom_bits:.2f}",
            f"{layer.message_headroom_bits:.2f}",
            _without_brackets(layer.limited_by),
        )
    return table


def _activity_table(report: ConversionReport) -> Table:
    table = _table("Activity a frame (threshold in the ANN's units)")
    for heading in (
        "layer",
        "neurons",
        "ANN active",
        "threshold",
        "events, pred.",
        "meas.",
        "Mops",
    ):
        table.add_column(heading, justify="left" if heading in _TEXT else "right", no_wrap=True)
    for layer in report.layers:
        table.add_row(
            layer.name,
            f"{layer.neurons:,}",
            f"{layer.density:.1%}",
            f"{layer.threshold_ann:.3g}",
            f"{layer.events_per_frame_predicted:,.0f}",
            f"{layer.events_per_frame_measured:,.0f}",
            f"{layer.synops_per_frame_measured / 1e6:.1f}",
        )
    return table


def _without_brackets(text: str) -> str:
    """What limits a scale, without the number of its bits: 80 columns are few."""
    return ", ".join(part.partition(" (")[0] for part in text.split(", "))


_TEXT = {"layer", "op", "limited by"}


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
