"""results.json: its keys and their meaning.

Null: not measured, or there is no such number. Messages and operations are per frame, after the
first frame of each sequence.
"""

from typing import Literal

from pydantic import Field

from ann2sdnn.support.files.json_text import Record


class MethodRow(Record):
    """One network in one form on one kind of windows."""

    method: str
    conversion: str | None = Field(default=None, description="null for the ANN and the mean pose")
    error_px: float | None = Field(default=None, description="against labels, in the picture")
    error_mm: float | None = Field(default=None, description="against labels, in the room")
    moved_px: float | None = Field(
        default=None, description="from the ANN's joints, at most 5 px each"
    )
    messages: float | None = None
    operations: float | None = None
    of_dense: float | None = Field(
        default=None, description="operations over those of all weights, zeros included"
    )
    energy_45nm_uj: float | None = Field(
        default=None, description="estimate, in integers in 45 nm, without memory"
    )
    energy_loihi_uj: float | None = Field(default=None, description="estimate, on Loihi 1")


class TimeRow(Record):
    """Milliseconds of one network: medians of alternating rounds of one `bench`."""

    network: str = Field(description="its name in the report of `bench`")
    label: str
    ms_per_frame: float
    least_ms: float
    most_ms: float
    first_frame_ms: float
    distance_px: float | None = Field(description="of its joints from the float32 ANN's")


class TimeTable(Record):
    """One run of `bench`."""

    conversion: str
    command: str
    frames: int
    rounds: int
    threads: int
    rows: tuple[TimeRow, ...]


class StudyTable(Record):
    """One network on one kind of windows."""

    network: str
    title: str
    windows: str
    frames: int = Field(description="pictures of single cameras evaluated")
    recordings: int
    dense_operations: float = Field(
        description="multiplications per frame by all weights, those that are zero included"
    )
    pruned: float = Field(description="share of these that are by weights of zero")
    first_frame_operations: dict[str, float] = Field(description="by conversion")
    conversions: dict[str, str] = Field(description="the commands, by conversion")
    evaluations: dict[str, str] = Field(description="the commands, by conversion")
    warnings: dict[str, tuple[str, ...]] = Field(description="of the evaluations")
    rows: tuple[MethodRow, ...]
    times: tuple[TimeTable, ...]


class Results(Record):
    """The whole file."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    version: str
    made_by: str = Field(description="the command line, without the folder")
    recordings: tuple[str, ...] = Field(description="the commands that made them")
    imports: tuple[str, ...]
    seconds: float = Field(description="wall-clock of all steps")
    tables: tuple[StudyTable, ...]
