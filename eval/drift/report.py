"""drift.json: its keys, and its conclusions in sentences."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ann2sdnn.support.files.json_text import Record
from ann2sdnn.support.terminal import number

SCHEMA = 1
_LOST = 2.0  # error of the stock neuron over the corrected neuron's


class SequenceReport(Record):
    """The frames shown to the networks."""

    recording: str
    channel: int | None = Field(description="camera; null where the data has no cameras")
    frames: int = Field(ge=1)
    recorded_frames: int = Field(
        description="if less than frames, they were shown forwards and backwards"
    )
    height: int
    width: int


class DriftCurve(Record):
    """One way to run the network; every list has one entry per frame."""

    name: str
    neuron: Literal["corrected", "stock"]
    reset_every: int | None = Field(description="frames; null: never")
    heatmap_relative_error: list[float | None] = Field(
        description="|sdnn - ann| / |ann|, of several outputs the root of the mean of the squares;"
        " null where the ANN's outputs are all zero"
    )
    displacement_px: list[float | None] = Field(
        description="mean over the joints that the ANN is confident of; null where there is none"
    )
    events: list[int] = Field(description="messages, the input's included")
    synops: list[int]
    overflows: list[int] = Field(description="states that left their 24 bits and wrapped")

    @property
    def first_overflow(self) -> int | None:
        """The frame, from 0, in which a state first left its bits."""
        return next((t for t, count in enumerate(self.overflows) if count), None)


class DriftReport(Record):
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

    @property
    def has_joints(self) -> bool:
        """Whether displacements are known: the ANN is confident of joints in its maps."""
        return any(px is not None for curve in self.curves for px in curve.displacement_px)

    @property
    def outputs(self) -> str:
        """What the relative errors are of, in a sentence."""
        return "heat maps" if self.has_joints else "outputs"

    def curve(self, neuron: str, reset_every: int | None = None) -> DriftCurve:
        """The curve of one treatment."""
        return next(c for c in self.curves if (c.neuron, c.reset_every) == (neuron, reset_every))


def conclusions(report: DriftReport) -> Iterator[str]:
    """When the stock neuron fails, and what resets change."""
    corrected, stock = report.curve("corrected"), report.curve("stock")
    yield _stock_sentence(corrected, stock)
    if stock.first_overflow is not None:
        yield (
            f"From frame {stock.first_overflow} on it drives states out of their 24 bits. They wrap"
            " here, as on a chip; lava-nc's simulation goes on in 32 bits."
        )
    for curve in report.curves:
        if curve.reset_every is not None and curve.reset_every < report.sequence.frames:
            yield _reset_sentence(corrected, curve)


def mean(values: Sequence[float | None]) -> float | None:
    """Of the values that are not None."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _stock_sentence(corrected: DriftCurve, stock: DriftCurve) -> str:
    pairs = zip(stock.heatmap_relative_error, corrected.heatmap_relative_error, strict=True)
    known = [
        (t, a > _LOST * b) for t, (a, b) in enumerate(pairs) if a is not None and b is not None
    ]
    # The frame after which the error never falls again, not the first with a large error.
    last_good = max((t for t, lost in known if not lost), default=-1)
    lost_for_good = [t for t, _ in known if t > last_good]
    if not lost_for_good:
        return f"The stock neuron holds out over these {len(stock.events)} frames."
    return (
        f"From frame {lost_for_good[0]} on the stock neuron's error stays above twice the corrected"
        " neuron's."
    )


def _reset_sentence(corrected: DriftCurve, curve: DriftCurve) -> str:
    operations = sum(corrected.synops)
    cost = number(sum(curve.synops) / operations if operations else None, ".2f")
    error = number(mean(curve.heatmap_relative_error), ".2f")
    floor = number(mean(corrected.heatmap_relative_error), ".2f")
    return (
        f"With a reset every {curve.reset_every} frames its mean error is {error} ({floor}"
        f" corrected), at {cost} times the corrected neuron's operations."
    )
