"""Reads the outputs of the steps into the tables of a study."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ann2sdnn.convert.render.verdict import NONZERO_NAME, is_pruned
from ann2sdnn.eval.bench.networks.registry import NETWORKS
from ann2sdnn.eval.bench.report import BenchReport
from ann2sdnn.eval.render.output import JSON_FILE
from ann2sdnn.eval.results.energy import EnergyEstimate, EnergyReport, ann_energy
from ann2sdnn.eval.results.schema import EvaluationReport, PoseErrors, SigmaDeltaErrors
from ann2sdnn.eval.study.records import MethodRow, StudyTable, TimeRow, TimeTable
from ann2sdnn.eval.study.steps import ConversionSteps, WindowSteps
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.json_text import read_model


def study_table(folder: Path, study: WindowSteps) -> StudyTable:
    """The rows of a network on one kind of windows, from the files in ``folder``.

    The baseline, the ANN and the memoryless network are those of the first conversion.
    """
    reports = {one.conversion: _evaluation(folder, one) for one in study.conversions}
    check_same_frames(reports)
    first = next(iter(reports.values()))
    dense = 0.0 if first.ann is None else first.ann.all_macs_per_frame
    return StudyTable(
        network=study.network.name,
        title=study.network.title,
        windows=study.windows,
        frames=first.frames,
        recordings=len(first.recordings),
        dense_operations=dense,
        pruned=0.0 if first.ann is None else 1 - first.ann.macs_per_frame / dense,
        first_frame_operations={
            name: one.sdnn.first_frame_synops for name, one in reports.items() if one.sdnn
        },
        conversions={one.conversion: one.convert.command for one in study.conversions},
        evaluations={one.conversion: one.evaluate.command for one in study.conversions},
        warnings={name: one.warnings for name, one in reports.items()},
        rows=(
            *ann_rows(first, dense),
            *memoryless_rows(first, study.conversions[0].conversion, dense),
            *(row for name, one in reports.items() for row in sdnn_rows(one, name, dense)),
        ),
        times=tuple(_times(folder, one) for one in study.conversions),
    )


def check_same_frames(reports: Mapping[str, EvaluationReport]) -> None:
    """Raise DataError for evaluations, by the conversion's name, that saw different frames."""
    (name, first), *others = reports.items()
    for other, report in others:
        if (report.frames_sha256, report.frames) != (first.frames_sha256, first.frames):
            raise DataError(
                f"the evaluations of {name} and {other} saw different frames ({first.frames} and"
                f" {report.frames}), so their numbers do not compare; evaluate both again on the"
                " same data"
            )


def ann_rows(report: EvaluationReport, dense: float) -> Iterator[MethodRow]:
    """The mean pose, and the ANN with all operations and without those that zeros save."""
    yield MethodRow(
        method="always the mean pose",
        error_px=report.baseline_mean_pose_px,
        error_mm=report.baseline_mean_pose_mm,
    )
    ann, energy = report.ann, report.energy or EnergyReport()
    if ann is None:
        return
    yield _row("ANN, dense", ann, dense, operations=dense, energy=ann_energy(dense))
    if is_pruned(dense, ann.macs_per_frame):
        yield _row(
            NONZERO_NAME,
            ann,
            dense,
            operations=ann.macs_per_frame,
            energy=ann_energy(ann.macs_per_frame),
        )
    yield _row(
        "ANN, skipping zeros",
        ann,
        dense,
        moved_px=0.0,
        messages=ann.nonzero_activations_per_frame,
        operations=ann.sustained_nonzero_macs_per_frame,
        energy=energy.ann_skipping,
    )


def memoryless_rows(report: EvaluationReport, conversion: str, dense: float) -> Iterator[MethodRow]:
    """The memoryless network of a conversion."""
    result, energy = report.memoryless, report.energy or EnergyReport()
    if result is not None:
        own = "own thresholds" if result.from_point == "memoryless" else "the SDNN's thresholds"
        method = f"memoryless SDNN ({conversion}, {own})"
        yield _sigma_delta(method, conversion, result, dense, energy.memoryless)


def sdnn_rows(report: EvaluationReport, conversion: str, dense: float) -> Iterator[MethodRow]:
    """The operating points of a conversion."""
    energy, mixed = report.energy or EnergyReport(), report.mixed
    if report.sdnn is not None:
        name = f"SDNN, {conversion}" + ("" if mixed is None else ", lava's point")
        yield _sigma_delta(name, conversion, report.sdnn, dense, energy.sdnn)
    if mixed is not None:
        name = f"SDNN, {conversion}, engine's point"
        yield _sigma_delta(name, conversion, mixed, dense, energy.mixed)


def _sigma_delta(
    method: str,
    conversion: str,
    result: SigmaDeltaErrors,
    dense: float,
    energy: EnergyEstimate | None,
) -> MethodRow:
    return _row(
        method,
        result,
        dense,
        conversion=conversion,
        moved_px=result.displacement_capped_px,
        messages=result.sustained_events_per_frame,
        operations=result.sustained_synops_per_frame,
        energy=energy,
    )


def _row(
    method: str,
    errors: PoseErrors,
    dense: float,
    *,
    operations: float,
    energy: EnergyEstimate | None,
    conversion: str | None = None,
    moved_px: float | None = None,
    messages: float | None = None,
) -> MethodRow:
    return MethodRow(
        method=method,
        conversion=conversion,
        error_px=errors.mpjpe_px,
        error_mm=errors.mpjpe_mm,
        moved_px=moved_px,
        messages=messages,
        operations=operations,
        of_dense=operations / dense,
        energy_45nm_uj=None if energy is None else energy.integer_uj,
        energy_loihi_uj=None if energy is None else energy.loihi_uj,
    )


def _evaluation(folder: Path, steps: ConversionSteps) -> EvaluationReport:
    path = folder / steps.evaluate.output / JSON_FILE
    try:
        return read_model(path, EvaluationReport, schema=1)
    except ValueError as error:
        raise DataError(f"{path} is no evaluation of schema 1 ({error}); remove it") from error


def _times(folder: Path, steps: ConversionSteps) -> TimeTable:
    path = folder / steps.bench.output
    try:
        report = BenchReport.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no report of `bench`; remove it") from error
    return time_table(report, steps.conversion, steps.bench.command)


def time_table(report: BenchReport, conversion: str, command: str) -> TimeTable:
    """The networks of one `bench`, the fastest first."""
    medians = report.ms_per_frame
    return TimeTable(
        conversion=conversion,
        command=command,
        frames=report.frames,
        rounds=report.rounds,
        threads=report.threads,
        rows=tuple(
            TimeRow(
                network=name,
                label=NETWORKS[name].label,
                ms_per_frame=medians[name],
                least_ms=min(report.all_ms_per_frame[name]),
                most_ms=max(report.all_ms_per_frame[name]),
                first_frame_ms=report.first_ms[name],
                distance_px=report.displacement_px[name],
            )
            for name in sorted(medians, key=medians.__getitem__)
        ),
    )
