"""Threshold curves: golden values by hand, and against the engine itself."""

from dataclasses import replace

import numpy as np
import pytest
from networks import ArrayRun, moving_frames, random_spec
from numpy.typing import NDArray

from ann2sdnn.calibration.thresholds.curves import (
    MEMORYLESS,
    STATEFUL,
    LayerCurve,
    error_gain,
    threshold_ladder,
)
from ann2sdnn.calibration.thresholds.measure_curves import measure_curves
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


def one_pixel(n_layers: int = 2) -> Spec:
    """A chain of single neurons of weight 1; a pixel of 64 counts is one threshold step, 1/64."""
    layers = tuple(
        SpecLayer(
            f"neuron{index}",
            Convolution(),
            np.full((1, 1, 1, 1), 64, np.int16),
            None,
            True,
            None,
            (1, 1, 1),
            0,
            np.ones(1),
        )
        for index in range(n_layers)
    )
    return Spec((1, 1, 1), 1.0, 1, Grid(6), layers, "")


def curves_of(spec: Spec, frames: NDArray[np.uint8]) -> tuple[LayerCurve, ...]:
    return measure_curves(spec, [ArrayRun(frames)], probes=len(frames))


def test_a_neuron_by_hand() -> None:
    """Values in 1/64: first 2, then 2, 3, 0, 1. The first frame is sent and not counted.

    Threshold 1: changes 0, +1, -3, +1, all sent. Threshold 2: the +1 waits (error 1), then -2 is
    sent from 2, then +1 waits (error 1). Memoryless at 1: 2, 3 and 1 are sent; at 2: 2 and 3, and
    the 1 is lost.
    """
    frames = np.array([128, 128, 192, 0, 64], np.uint8).reshape(5, 1, 1, 1)
    curve = curves_of(one_pixel(), frames)[1]
    one, two = (int(np.flatnonzero(curve.thresholds == t)[0]) for t in (1, 2))
    counted = 4
    unit = 1 / 64**2
    np.testing.assert_allclose(curve.events[STATEFUL, [0, one, two]] * counted, [3, 3, 1])
    np.testing.assert_allclose(curve.error[STATEFUL, [0, one, two]] * counted / unit, [0, 0, 2])
    np.testing.assert_allclose(curve.events[MEMORYLESS, [0, one, two]] * counted, [3, 3, 2])
    np.testing.assert_allclose(curve.error[MEMORYLESS, [0, one, two]] * counted / unit, [0, 0, 1])
    # One neuron of weight 1 follows, so a message is an operation and an error arrives as it is.
    np.testing.assert_allclose(curve.operations, curve.events)
    np.testing.assert_allclose(curve.output_error[:, two], curve.error[:, two], rtol=1e-6)


def test_without_thresholds_the_curves_count_what_the_engine_counts() -> None:
    spec = replace(random_spec(threshold=0), input_gain=1)
    frames = moving_frames(6)
    curves = curves_of(spec, frames.numpy())
    for kind, memoryless in ((STATEFUL, False), (MEMORYLESS, True)):
        run = Engine(spec, memoryless=memoryless).run(frames)
        events = run.events[1:].double().mean(dim=0).numpy()
        operations = run.synops[1:].double().mean(dim=0).numpy()
        assert not run.overflows.any(), "curves know nothing of states that wrap round"
        np.testing.assert_allclose([c.events[kind, 0] for c in curves], events[:-1])
        np.testing.assert_allclose([c.operations[kind, 0] for c in curves], operations)
    assert all(curve.output_error[:, 0].max() == 0 for curve in curves)


@pytest.mark.parametrize("is_stateful", [True, False])
def test_one_layers_threshold_costs_and_spoils_what_its_curve_says(is_stateful: bool) -> None:
    """Only layer 3 has a threshold: events equal, error of the output as its probes saw it."""
    spec = random_spec(threshold=0)
    frames = moving_frames(12)
    curve = curves_of(spec, frames.numpy())[3]
    kind = STATEFUL if is_stateful else MEMORYLESS
    step = int(np.argmax(curve.output_error[kind] > 0.2 * curve.output_error[kind].max()))
    threshold = int(curve.thresholds[step])
    assert threshold > 1
    layer = replace(spec.layers[2], threshold=threshold, is_stateful=is_stateful)
    spoilt = replace(spec, layers=(*spec.layers[:2], layer, *spec.layers[3:]))
    exact = Engine(spec).run(frames)
    run = Engine(spoilt).run(frames)
    events = float(run.events[1:, 3].double().mean())
    assert curve.events[kind, step] == pytest.approx(events, rel=0.02)
    output_error = float(
        (run.outputs - exact.outputs)[1:].double().square().sum(dim=(1, 2, 3)).mean()
    )
    assert output_error > 0
    assert curve.output_error[kind, step] == pytest.approx(output_error, rel=0.5)


def test_the_ladder_covers_the_useful_thresholds() -> None:
    np.testing.assert_array_equal(threshold_ladder(0.0), [0])
    np.testing.assert_array_equal(threshold_ladder(0.1), [0, 1])
    np.testing.assert_array_equal(threshold_ladder(4.0), [0, 1, 2, 3, 4, 6, 8])
    fine = threshold_ladder(1000.0)
    assert fine[1] >= 10
    assert 2000 < fine[-1] <= 2500


LADDER = np.array([0, 1, 2, 4, 8, 16])


def test_harm_per_error_by_hand() -> None:
    """Probed at 1, 4 and 16: 2, 8 and 8 per unit of error; between, in logarithms."""
    output_error, injected = np.array([2.0, 16.0, 8.0]), np.array([1.0, 2.0, 1.0])
    found = error_gain(LADDER, [1, 3, 5], output_error, injected)
    np.testing.assert_allclose(found[1:], [2, 4, 8, 8, 8])


@pytest.mark.parametrize(
    ("output_error", "injected", "first_unknown"),
    [
        ((2.0, 8.0, 0.0), (1.0, 1.0, 1.0), 5),  # nothing arrived of the largest
        ((2.0, 0.0, 0.0), (1.0, 0.0, 1.0), 3),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0),
        ((0.0, 0.0, 8.0), (0.0, 1.0, 1.0), 6),  # a larger one was measured
    ],
)
def test_thresholds_beyond_what_was_measured_are_unknown(
    output_error: tuple[float, ...], injected: tuple[float, ...], first_unknown: int
) -> None:
    found = error_gain(LADDER, [1, 3, 5], np.array(output_error), np.array(injected))
    assert np.isinf(found[first_unknown:]).all()
    assert np.isfinite(found[:first_unknown]).all()


def test_a_layer_whose_errors_reach_no_output_keeps_a_threshold_of_zero() -> None:
    """The last neuron's weight is 0: whatever is kept back, the output is 0."""
    spec = one_pixel(3)
    last = replace(spec.layers[-1], weight=np.zeros((1, 1, 1, 1), np.int16))
    spec = replace(spec, layers=(*spec.layers[:-1], last))
    frames = np.arange(250, 100, -20, dtype=np.uint8).reshape(-1, 1, 1, 1)
    curve = curves_of(spec, frames)[1]
    assert (curve.error > 0).any(axis=1).all()
    assert curve.unmeasured((STATEFUL, MEMORYLESS))
    assert np.isinf(curve.output_error[curve.error > 0]).all()
