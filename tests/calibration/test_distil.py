"""Distillation: legal weights, never worse than the start, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from calibration_cases import case
from networks import moving_frames

from ann2sdnn.calibration.learning.distil import distil, relative_error
from ann2sdnn.calibration.learning.options import DistilOptions, Variety
from ann2sdnn.calibration.learning.windows import window, windows_of
from ann2sdnn.calibration.rounding.rounded import (
    Rounded,
    range_used_by_frames,
    round_nearest,
    step_limits,
)
from ann2sdnn.calibration.scales.plan import RangePlan, ScaleOptions
from ann2sdnn.support.errors import ConversionError, UsageError

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
        assert low <= one.steps[0].min() <= one.steps[0].max() <= high
    assert result.steps == 60
    assert result.error_after < 0.98 * result.error_before
    assert result.error_after == relative_error(measured.graph, plan, found, held_out)
    assert range_used_by_frames(measured.graph, plan, found, held_out) <= 1


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
        np.testing.assert_array_equal(a.steps[0], b.steps[0])


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


def test_a_window_is_around_one_pixel_not_two() -> None:
    """Two lit corners: the row of one with the column of the other is where nothing is."""
    frame = torch.zeros(1, 80, 120, dtype=torch.uint8)
    frame[0, 4:8, 4:8] = 200
    frame[0, 72:76, 112:116] = 200
    generator = torch.Generator().manual_seed(0)
    shown = [window([frame], Variety(crop=(16, 20), plain=1.0), generator) for _ in range(60)]
    assert all(int(one.max()) == 200 for one in shown)


def test_a_window_is_around_a_pixel_of_any_channel() -> None:
    frame = torch.zeros(2, 40, 60, dtype=torch.uint8)
    frame[1, 30, 50] = 200
    generator = torch.Generator().manual_seed(0)
    shown = [window([frame], Variety(crop=(16, 20), plain=1.0), generator) for _ in range(20)]
    assert all(int(one.max()) == 200 for one in shown)


def test_dense_layers_are_distilled_on_whole_frames() -> None:
    measured = case(dense=True)
    plan = measured.plan(ScaleOptions(headroom=200))
    start = round_nearest(measured.graph, plan)
    options = replace(OPTIONS, variety=Variety(crop=(8, 12)), steps=20)
    found, result = distil(
        measured.graph,
        plan,
        start,
        frames=list(measured.frames),
        held_out=list(moving_frames(6, seed=5)),
        options=options,
    )
    assert result.steps == 20
    assert len(found) == len(start)
    assert windows_of(measured.graph, Variety(crop=(8, 12))).crop == (16, 20)


def test_windows_begin_where_strides_and_pools_do() -> None:
    """``small_graph`` halves pictures, doubles them and halves their rows again."""
    size = windows_of(case().graph, Variety(crop=(8, 12)))
    assert size.crop == (8, 12)
    assert size.phases == (2, 2)


def test_an_output_that_is_silent_on_the_held_out_frames_checks_nothing() -> None:
    measured = case(bias=False)
    plan = measured.plan()
    silent = [torch.zeros_like(measured.frames[0])] * 2
    with pytest.raises(ConversionError, match="output is 0 on all 2 frames"):
        relative_error(measured.graph, plan, round_nearest(measured.graph, plan), silent)


def test_no_time_is_refused() -> None:
    with pytest.raises(UsageError, match="--distil 0"):
        DistilOptions(minutes=0)
