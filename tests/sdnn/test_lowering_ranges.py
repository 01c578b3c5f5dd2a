"""How far a lowered network's numbers reach: by hand, and against slayer's messages."""

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from networks import ArrayRun
from random_networks import specs

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.operations import linear
from ann2sdnn.sdnn.engine.run import input_messages
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.lowering.ranges import LayerRange, measure_ranges
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError


def pixelwise(name: str, weight: int, bias: int | None, threshold: int = 0) -> SpecLayer:
    return SpecLayer(
        name=name,
        geometry=Convolution(),
        weight=np.full((1, 1, 1, 1), weight, np.int16),
        bias=None if bias is None else np.array([bias], np.int32),
        relu=True,
        pool=None,
        threshold=threshold,
        scale=np.ones(1),
        input_shape=(1, 1, 2),
    )


def two_pixels(*frames: tuple[int, int]) -> ArrayRun:
    return ArrayRun(np.array(frames, np.uint8)[:, None, None, :])


def test_peaks_worked_out_by_hand() -> None:
    """spike_exp 0, a pixel enters as 2: 20 and 0, then the changes -14 and 10.

    Layer a (weight 4, bias 64 in state units): its bias alone gives state 64 and a message of 1
    (64 >> 6); then 80 arrive, the state is 80 + 64 = 144, and a message of 1 leaves 16; then -56
    and 40 arrive, the states are 88 and 104, the messages -1 and 0. Layer b (weight -6) gets 1, 1,
    then 1, 0, then -1, 0: it never leaves the negative side.
    """
    spec = Spec((1, 1, 2), 1.0, 2, Grid(0), (pixelwise("a", 4, 1), pixelwise("b", -6, None)), "")
    run = two_pixels((10, 0), (3, 5))
    expected = (LayerRange(80, 144, 1), LayerRange(6, 12, 0))
    assert measure_ranges(spec, [run]) == expected
    # A run begins again: 10 to 3 to 10 would be changes only.
    assert measure_ranges(spec, [run, run]) == expected


@settings(max_examples=10, deadline=None)
@given(spec=specs())
def test_runs_do_not_see_each_other(spec: Spec) -> None:
    """The largest of two runs together are the larger of each alone."""
    try:
        spec = lower_spec(spec).spec
    except ConversionError:
        assume(False)  # a size that does not divide
    rng = np.random.default_rng(0)
    runs = [
        ArrayRun(rng.integers(0, most, (2, *spec.input_shape)).astype(np.uint8))
        for most in (200, 20)
    ]
    (first, second), together = (
        (measure_ranges(spec, [run]) for run in runs),
        measure_ranges(spec, runs),
    )
    for one, other, both in zip(first, second, together, strict=True):
        assert astuple(both) == tuple(map(max, astuple(one), astuple(other)))


def test_a_change_may_be_larger_than_any_state() -> None:
    """Left minus right: 8 * 100 with the first frame, -8 * 100 with the second."""
    layer = replace(
        pixelwise("sides", 8, None),
        geometry=Convolution(),
        weight=np.array([8, -8], np.int16).reshape(1, 1, 1, 2),
    )
    spec = Spec((1, 1, 2), 1.0, 1, Grid(0), (layer,), "")
    assert measure_ranges(spec, [two_pixels((100, 0), (0, 100))]) == (LayerRange(1600, 800, 12),)


@pytest.mark.lava
@settings(max_examples=10, deadline=None)
@given(spec=specs())
def test_peaks_are_those_of_what_slayer_sends_in_the_same_pipeline(spec: Spec) -> None:
    from ann2sdnn.sdnn.slayer.pipeline import pipelined_messages

    try:
        spec = lower_spec(spec).spec
    except ConversionError:
        assume(False)  # a size that does not divide
    rng = np.random.default_rng(0)
    frames = (rng.random((3, *spec.input_shape)) < 0.4) * rng.integers(0, 60, (3, 1, 1, 1))
    run = ArrayRun(frames.astype(np.uint8), chunk=2)
    found = measure_ranges(spec, [run])
    pixels = torch.from_numpy(run.frames)
    step = spec.grid.message_step
    arriving = torch.from_numpy(input_messages(spec, pixels)).double()
    for index, messages in enumerate(pipelined_messages(spec, pixels)):
        layer, seen = spec.layers[index], found[index]
        if max(one.state_peak for one in found[: index + 1]) >= 2**23:
            return  # slayer sums over time before it wraps, so it has no single steps
        sums = linear(layer.geometry, arriving, torch.from_numpy(layer.weight).double())
        states = torch.cumsum(sums, dim=0)
        bias = np.zeros(1) if layer.bias is None else layer.bias * 2.0 ** (6 + spec.grid.spike_exp)
        biased = states + torch.from_numpy(np.asarray(bias, np.float64))[:, None, None]
        alone = float(np.abs(bias).max())  # before anything arrives
        assert seen.sum_peak == sums.abs().max()
        assert seen.state_peak == max(alone, states.abs().max(), biased.abs().max())
        arriving = torch.round(messages.double() / step)
        assert seen.message_peak == arriving.abs().max()
