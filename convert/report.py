"""The conversion report: data first, as JSON; tables are made elsewhere."""

from pathlib import Path

import pydantic

from ann2sdnn.errors import ModelError
from ann2sdnn.files import write_text


class LayerReport(pydantic.BaseModel):
    """One layer. States, activations and thresholds in units of the scaled activation, unless the
    name ends in ``_ann`` (the original network's units).
    """

    name: str
    op: str
    neurons: int
    weights: int
    scale: float
    limited_by: str
    weight_levels: int
    weight_snr_db: float | None
    activation_max: float
    activation_max_ann: float
    state_min: float
    state_max: float
    state_limit: float
    state_headroom_bits: float
    message_headroom_bits: float
    threshold: float
    threshold_ann: float
    density: float
    events_per_frame_predicted: float
    events_per_frame_measured: float
    synops_per_frame_measured: float


class Fidelity(pydantic.BaseModel):
    """SDNN against ANN, over joints whose ANN confidence exceeds 0.3."""

    displacement_px_mean: float | None
    displacement_px_median: float | None
    moved_over_5px: float | None
    heatmap_relative_error: float | None


class ConversionReport(pydantic.BaseModel):
    """report.json of a conversion's folder."""

    schema_version: int = pydantic.Field(default=1, alias="schema")
    source_sha256: str
    input_scale: float
    input_gain: int
    output_scale: float
    spike_exp: int
    headroom: float
    thresholds: str
    calibration_frames: int
    calibration_runs: int
    calibration_recordings: list[str]
    seconds: dict[str, float]
    layers: list[LayerReport]
    fidelity: Fidelity
    warnings: list[str]

    model_config = pydantic.ConfigDict(populate_by_name=True)


def write_report(path: Path, report: ConversionReport) -> None:
    """Write report.json in one step."""
    write_text(path, report.model_dump_json(by_alias=True, indent=2) + "\n")


def read_report(path: Path) -> ConversionReport:
    """Read report.json; ModelError when it is missing or of another form."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist; name a folder that `ann2sdnn convert` wrote")
    try:
        return ConversionReport.model_validate_json(path.read_text(encoding="utf-8"))
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} is no conversion report of this version; convert again"
        ) from error
