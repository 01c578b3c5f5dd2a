"""Curves and choices of thresholds where layers have several readers and networks outputs."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs, branched_spec
from calibration_cases import measured_case
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import ArrayRun, moving_frames

from ann2sdnn.calibration.measure.outputs import balancing
from ann2sdnn.calibration.rounding.rounded import round_nearest
from ann2sdnn.calibration.thresholds.curves import MEMORYLESS, STATEFUL, LayerCurve, Memory
from ann2sdnn.calibration.thresholds.deviation import DeviationMeter, Reference
from ann2sdnn.calibration.thresholds.measure_curves import measure_curves
from ann2sdnn.calibration.thresholds.rate_distortion import (
    ROWS,
    OperatingPoint,
    points_at,
    points_at_zero,
    predicted_error,
    predicted_operations,
    with_points,
)
from ann2sdnn.calibration.thresholds.rule import ThresholdInputs
from ann2sdnn.calibration.thresholds.rules import MeanDelta, RateDistortion
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.planes import separated
from ann2sdnn.sdnn.reference import reference
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError

MEMORIES = st.sampled_from(get_args(Memory))


def converted(n_outputs: int = 1, n_frames: int = 8) -> Spec:
    measured = measured_case(branched_graph(n_outputs=n_outputs), moving_frames(n_frames))
    plan = measured.plan()
    return spec_from(measured.graph, plan, round_nearest(measured.graph, plan), "0" * 64)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_without_thresholds_the_curves_count_what_the_network_sends(n_outputs: int) -> None:
    """A message costs the fan-outs of all its readers: together, what all layers receive."""
    spec, frames = converted(n_outputs), moving_frames(5)
    curves = measure_curves(spec, [ArrayRun(frames.numpy())], probes=2)
    assert len(curves) == len(spec.layers)
    for kind, memoryless in ((STATEFUL, False), (MEMORYLESS, True)):
        run = reference.Reference(spec, memoryless=memoryless).run(frames)
        events = run.events[1:].double().mean(dim=0).numpy()
        operations = float(run.synops[1:].double().sum(dim=1).mean())
        np.testing.assert_allclose([curve.events[kind, 0] for curve in curves], events[:-1])
        found = sum(float(curve.operations[kind, 0]) for curve in curves)
        assert found == pytest.approx(operations)
    assert all(curve.output_error[:, 0].max() == 0 for curve in curves)


@pytest.mark.parametrize("name", ["stem", "add1", "deep", "down"])
def test_a_threshold_costs_and_spoils_what_its_curve_says(name: str) -> None:
    """``add1`` and ``deep`` are also outputs, and ``stem`` reaches them on several ways."""
    spec, frames = converted(n_outputs=3, n_frames=12), moving_frames(12)
    plane = spec.plane_names.index(name)
    curve = measure_curves(spec, [ArrayRun(frames.numpy())], probes=12)[plane]
    step = int(np.argmax(curve.output_error[STATEFUL] > 0.2 * curve.output_error[STATEFUL].max()))
    threshold = int(curve.thresholds[step])
    assert threshold > 1
    layers = list(spec.layers)
    layers[plane - 1] = replace(layers[plane - 1], threshold=threshold)
    exact = reference.Reference(spec).run(frames)
    run = reference.Reference(replace(spec, layers=tuple(layers))).run(frames)
    events = float(run.events[1:, plane].double().mean())
    assert curve.events[STATEFUL, step] == pytest.approx(events, rel=0.02)
    energies = [
        float(part.square().sum()) / len(frames)
        for part in separated(exact.outputs, spec.output_shapes)
    ]
    errors = separated((run.outputs - exact.outputs)[1:], spec.output_shapes)
    output_error = sum(
        weight**2 * float(error.double().square().sum(dim=(1, 2, 3)).mean())
        for weight, error in zip(balancing(energies), errors, strict=True)
    )
    assert output_error > 0
    assert curve.output_error[STATEFUL, step] == pytest.approx(output_error, rel=0.5)


def test_what_no_layer_reads_costs_nothing_and_has_no_threshold() -> None:
    """``side``, an output before others, has only the threshold of 0."""
    graph = branched_graph()
    side = replace(graph.layers[8], name="side", source="add1", input_shape=(6, 16, 20),
                   weight=np.ones((3, 6, 1, 1), np.float32))  # fmt: skip
    layers = (*graph.layers[:4], side, *graph.layers[4:])
    graph = replace(graph, layers=layers, output_names=("heads", "side"))
    spec, frames = branched_spec(graph), moving_frames(4)
    curves = measure_curves(spec, [ArrayRun(frames.numpy())], probes=2)
    assert curves[5].thresholds.tolist() == [0]
    assert curves[5].operations.max() == 0
    assert curves[5].events.min() > 0
    assert len(curves[4].thresholds) > 1


def test_sources_of_one_layer_and_outputs_have_one_memory() -> None:
    spec = branched_spec(branched_graph())
    # block1 with stem (add1), stem with add1 (down), down with pooled (deep), up, add1 and input.
    assert spec.memory_groups == (0, 0, 0, 0, 4, 4, 6, 0, 8, 9)
    spec = branched_spec(branched_graph(n_outputs=2))  # heads and deep
    assert spec.memory_groups == (0, 0, 0, 0, 4, 4, 6, 0, 8, 6)


def made_up(groups: Sequence[int], seed: int, n_steps: int = 2) -> list[LayerCurve]:
    """Operations fall and error grows along the ladder; the memoryless kind has its own numbers."""
    rng = np.random.default_rng(seed)
    curves = []
    for group in groups:
        operations = -np.sort(-rng.random((2, n_steps)), axis=1)
        output_error = np.sort(rng.random((2, n_steps)), axis=1)
        output_error[:, 0] = 0
        thresholds = np.arange(n_steps, dtype=np.int64) * 2
        curves.append(
            LayerCurve(thresholds, operations, operations, output_error, output_error, group)
        )
    return curves


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.integers(0, 2), min_size=3, max_size=4),
    seed=st.integers(0, 10_000),
    multiplier=st.floats(0.01, 10),
    memory=MEMORIES,
)
def test_no_other_choice_is_better(
    groups: list[int], seed: int, multiplier: float, memory: Memory
) -> None:
    """Every combination tried in which groups have one memory."""
    curves = made_up(groups, seed)
    chosen = points_at(curves, multiplier, memory)
    places = [OperatingPoint(kind, step) for kind in ROWS[memory] for step in range(2)]

    def cost(points: Sequence[OperatingPoint]) -> float:
        own = tuple(points)
        return predicted_operations(curves, own) + multiplier * predicted_error(curves, own)

    def is_legal(points: Sequence[OperatingPoint]) -> bool:
        pairs = {(group, point.kind) for group, point in zip(groups, points, strict=True)}
        return len(pairs) == len(set(groups))

    assert is_legal(chosen)
    assert is_legal(points_at_zero(curves, memory))
    others = [each for each in itertools.product(places, repeat=len(groups)) if is_legal(each)]
    assert cost(chosen) <= min(map(cost, others)) + 1e-9


@settings(max_examples=40, deadline=None)
@given(branched_graphs(), st.integers(0, 10_000), st.floats(0.01, 10), MEMORIES)
def test_chosen_points_make_a_legal_network(
    graph: Graph, seed: int, multiplier: float, memory: Memory
) -> None:
    """A spec refuses layers that read memoryless ones and others."""
    spec = branched_spec(graph)
    curves = made_up(spec.memory_groups[:-1], seed)
    points = points_at(curves, multiplier, memory)
    changed = with_points(spec, curves, points)
    for plane, point in enumerate(points):
        if spec.readers[plane]:
            assert changed.planes_are_stateful[plane] == (point.kind == STATEFUL)
        if plane:
            threshold = 2 * point.step if spec.readers[plane] else 0
            assert changed.layers[plane - 1].threshold == threshold
    assert changed.layers[-1].threshold == 0
    if memory != "mixed":
        assert set(changed.planes_are_stateful) == {memory == "all"}


def test_an_output_that_no_layer_reads_has_the_memory_of_the_others() -> None:
    """``deep`` is read and memoryless, so ``heads`` is; all else is stateful."""
    spec = branched_spec(branched_graph(n_outputs=2))
    curves = made_up(spec.memory_groups[:-1], seed=0)
    points = [OperatingPoint(STATEFUL, 1)] * 9
    points[6] = OperatingPoint(MEMORYLESS, 1)
    assert with_points(spec, curves, tuple(points)).memoryless_layers == ("deep", "heads")
    spec = branched_spec(branched_graph())
    assert with_points(spec, curves, tuple(points)).memoryless_layers == ("deep",)
    points = [OperatingPoint(MEMORYLESS, 1)] * 9
    assert len(with_points(spec, curves, tuple(points)).memoryless_layers) == 10


def test_rules_of_statistics_leave_unread_outputs_at_zero() -> None:
    measured = measured_case(branched_graph(n_outputs=2), moving_frames(6))
    spec = branched_spec(measured.graph)
    inputs = ThresholdInputs(measured.graph, spec, measured.evidence.statistics, ())
    found = MeanDelta(4.0).applied(inputs)
    zero = [layer.name for layer in found.layers if layer.threshold == 0]
    assert zero == ["heads"]


def test_the_error_of_several_outputs_is_that_of_each() -> None:
    """One output of energy 100 per frame that is off by 10%, one of 1e-4 that is off by 30%."""
    shapes = ((1, 2, 2), (4, 1, 1))
    large, small = torch.full((1, 4), 5.0), torch.full((1, 4), 0.005)
    both = torch.cat([large, small], dim=1)[:, :, None, None]
    found = torch.cat([1.1 * large, 0.7 * small], dim=1)[:, :, None, None]
    meter = DeviationMeter()
    expected = Reference.of(both, shapes)
    assert expected.pixels is None
    assert expected.scores is None
    meter.add("one", found, None, expected, None)
    assert meter.result().error == pytest.approx(np.sqrt((0.1**2 + 0.3**2) / 2), rel=1e-3)


def test_budgets_of_pixels_and_classes_need_a_single_output() -> None:
    shapes = ((13, 16, 20), (5, 1, 1))
    for rule in (RateDistortion(budget_px=1), RateDistortion(budget_class=0.01)):
        with pytest.raises(UsageError, match=r"outputs are \(13, 16, 20\) and \(5, 1, 1\)"):
            rule.check_output(shapes)
    RateDistortion(budget_error=0.1).check_output(shapes)
    RateDistortion(budget_px=1).check_output(shapes[:1])
    RateDistortion(budget_class=0.01).check_output(shapes[1:])
