"""drift.json: its keys, and what can be said about them in a sentence or two."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA = 1
# Error over the corrected neuron's from which on we call it lost.
_TWICE = 2.0


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SequenceReport(_Model):
    """What was shown to the networks."""

    recording: str
    channel: int | None = Field(description="camera; null where the data has no cameras")
    frames: int = Field(ge=1)
    recorded_frames: int = Field(
        description="when less than frames, it was played forwards and backwards"
    )
    height: int
    width: int


class DriftCurve(_Model):
    """One way to run the network; every list has one entry a frame."""

    name: str
    neuron: Literal["corrected", "stock"]
    reset_every: int | None = Field(description="frames; null: never")
    heatmap_relative_error: list[float | None] = Field(
        description="|sdnn - ann| / |ann|; null where the ANN's maps are all zero"
    )
    displacement_px: list[float | None] = Field(
        description="mean over the joints that the ANN is confident of; null where there is none"
    )
    events: list[int] = Field(description="messages, the input's included")
    synops: list[int]
    overflows: list[int] = Field(description="states that left their 24 bits and wrapped round")

    def mean_error(self, start: int, stop: int) -> float | None:
        """Mean relative error of frames ``start`` to ``stop`` (excluded)."""
        return _mean(self.heatmap_relative_error[start:stop])

    @property
    def first_overflow(self) -> int | None:
        """The frame, from 0, in which a state first left its bits."""
        return next((t for t, count in enumerate(self.overflows) if count), None)


class DriftReport(_Model):
    """The whole file."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    sequence: SequenceReport
    curves: tuple[DriftCurve, ...]

    @model_validator(mode="after")
    def _check_curves(self) -> "DriftReport":
        treatments = {(curve.neuron, curve.reset_every) for curve in self.curves}
        if not {("corrected", None), ("stock", None)} <= treatments:
            raise ValueError("it needs a curve of the corrected and one of the stock neuron")
        for curve in self.curves:
            lengths = {len(values) for values in vars(curve).values() if isinstance(values, list)}
            if lengths != {self.sequence.frames}:
                raise ValueError(f"{curve.name} has not one entry per frame")
        return self

    def curve(self, neuron: str, reset_every: int | None = None) -> DriftCurve:
        """The curve of one treatment."""
        return next(c for c in self.curves if (c.neuron, c.reset_every) == (neuron, reset_every))


class Row(_Model):
    """One line of the table: relative error at some frames, and means over all."""

    name: str
    errors: tuple[float | None, ...]
    displacement_px: float | None
    events_per_frame: float
    synops_per_frame: float


def windows(n_frames: int) -> tuple[tuple[int, int], ...]:
    """Ranges of frames [start, stop) to report: the first frame, then decades, then the end."""
    edges = [0, 1, *(e for e in (10, 100, 1000, 10_000) if e < n_frames), n_frames]
    return tuple((a, b) for a, b in pairwise(edges) if a < b)


def rows(report: DriftReport) -> tuple[Row, ...]:
    """The table, a row a curve."""
    ranges = windows(report.sequence.frames)
    return tuple(
        Row(
            name=curve.name,
            errors=tuple(curve.mean_error(*one) for one in ranges),
            displacement_px=_mean(curve.displacement_px),
            events_per_frame=float(np.mean(curve.events)),
            synops_per_frame=float(np.mean(curve.synops)),
        )
        for curve in report.curves
    )


def conclusions(report: DriftReport) -> tuple[str, ...]:
    """What the curves say, in sentences."""
    corrected, stock = report.curve("corrected"), report.curve("stock")
    found = [_stock_sentence(corrected, stock)]
    if stock.first_overflow is not None:
        found.append(
            f"From frame {stock.first_overflow} on it drives states out of their 24 bits: there a"
            " chip's wrap round, as here, and lava-nc's simulation goes on in 32."
        )
    found += [
        _reset_sentence(corrected, curve)
        for curve in report.curves
        if curve.reset_every is not None and curve.reset_every < report.sequence.frames
    ]
    return tuple(found)


def _stock_sentence(corrected: DriftCurve, stock: DriftCurve) -> str:
    pairs = zip(stock.heatmap_relative_error, corrected.heatmap_relative_error, strict=True)
    known = [
        (t, a > _TWICE * b) for t, (a, b) in enumerate(pairs) if a is not None and b is not None
    ]
    # The frame after which it never comes back, not the first that is unlucky.
    last_good = max((t for t, lost in known if not lost), default=-1)
    lost_for_good = [t for t, _ in known if t > last_good]
    if not lost_for_good:
        return f"The stock neuron holds out over these {len(stock.events)} frames."
    return (
        f"From frame {lost_for_good[0]} on the stock neuron's error stays above twice the corrected"
        " one's."
    )


def _reset_sentence(corrected: DriftCurve, curve: DriftCurve) -> str:
    operations = sum(corrected.synops)
    cost = f"{sum(curve.synops) / operations:.2f}" if operations else "-"
    error, floor = _mean(curve.heatmap_relative_error), _mean(corrected.heatmap_relative_error)
    text = "-" if error is None or floor is None else f"{error:.2f} ({floor:.2f} corrected)"
    return (
        f"With a reset every {curve.reset_every} frames its error is {text} on average, at"
        f" {cost} times the corrected neuron's operations."
    )


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None
