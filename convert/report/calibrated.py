"""The sequences that a network was calibrated on, as report.json names them."""

from pathlib import Path

import pydantic

from ann2sdnn.convert.report.search_curve import read_part


class _Calibrated(pydantic.BaseModel):
    calibration_recordings: tuple[str, ...] = ()


def calibrated_on(path: Path) -> tuple[str, ...]:
    """Names of the calibration sequences in the report ``path``; none where there is no report.

    Raises ModelError for a damaged report.
    """
    report = read_part(path, _Calibrated)
    return () if report is None else report.calibration_recordings
