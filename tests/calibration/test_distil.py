"""Distillation: legal weights, never worse than the start, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from calibration_cases import case
from networks import moving_frames

from ann2sdnn.calibration.distil import DistilOptions, distil, relative_error
from ann2sdnn.calibration.distil_data import Variety, window
from ann2sdnn.calibration.quantised import Rounded, range_used, round_nearest, step_limits
from ann2sdnn.calibration.range_plan import RangePlan
from ann2sdnn.calibration.scales import ScaleOptions
from ann2sdnn.errors import UsageError

OPTIONS = DistilOptions(steps=60, rate=1e-2, variety=Variety(crop=(16, 20), mixed=0.1))


def coarse() -> tuple[RangePlan, Rounded]:
    """A plan with little range, and weights rounded to the nearest."""
    measured = case(bias=False)
    plan = measured.plan(ScaleOptions(headroom=200))
    return plan, round_nearest(measured.graph, plan)


@pytest.mark.parametrize("relays", [(), (2,)])
def test_weights_stay_legal_and_the_error_falls(relays: tuple[int, ...]) -> None:
    measured, held_out = case(bias=False), list(moving_frames(6, seed=5))
    plan = measured.plan(ScaleOptions(headroom=200, relays=relays))
    start = round_nearest(measured.graph, plan)
    found, result = distil(
        measured.graph,
        plan,
        start,
        frames=list(measured.frames),
        held_out=held_out,
        options=OPTIONS,
    )
    for one in found:
        low, high = step_limits(one.layer, one.plan)
        assert low <= one.steps.min() <= one.steps.max() <= high
    assert result.steps == 60
    assert result.error_after < 0.98 * result.error_before
    assert result.error_after == relative_error(measured.graph, plan, found, held_out)
    assert range_used(measured.graph, plan, found, held_out) <= 1


def test_a_harmful_rate_leaves_the_start_as_it_was() -> None:
    measured = case(bias=False)
    plan, start = coarse()
    found, result = distil(
        measured.graph,
        plan,
        start,
        frames=list(measured.frames),
        held_out=list(measured.frames),
        options=replace(OPTIONS, rate=50.0, steps=8),
    )
    assert result.error_after == result.error_before
    for a, b in zip(found, start, strict=True):
        np.testing.assert_array_equal(a.steps, b.steps)


def test_it_follows_from_the_seed() -> None:
    measured = case(bias=False)
    plan, start = coarse()
    errors = [
        distil(
            measured.graph,
            plan,
            start,
            frames=list(measured.frames),
            held_out=list(measured.frames),
            options=replace(OPTIONS, steps=40, seed=seed),
        )[1].error_after
        for seed in (1, 1, 2)
    ]
    assert errors[0] == errors[1] != errors[2]
    assert errors[0] < 1


def test_windows_show_what_is_there() -> None:
    frame = torch.zeros(1, 40, 60, dtype=torch.uint8)
    frame[0, 30, 50] = 100
    generator = torch.Generator().manual_seed(0)
    plain = window([frame], Variety(crop=(16, 20), plain=1.0), generator)
    assert plain.shape == (1, 16, 20)
    assert int(plain.max()) == 100
    varied = [window([frame], Variety(crop=(16, 20), plain=0.0), generator) for _ in range(20)]
    assert len({int(one.max()) for one in varied}) > 5
    assert window([frame], Variety(crop=(100, 100)), generator).shape == (1, 40, 60)


def test_no_time_is_refused() -> None:
    with pytest.raises(UsageError, match="--distil 0"):
        DistilOptions(minutes=0)
