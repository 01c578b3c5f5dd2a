"""Averages over many pixels: exact on the grid, and a network that converts with the defaults."""

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import ArrayRun, moving_frames
from onnx_models import ModelBuilder, random_weights
from torch import Tensor

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding.rounded import range_used_by_frames
from ann2sdnn.calibration.rounding.sequential import round_sequentially
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.graph.averages import is_average, split_averages
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.lowering.ranges import measure_ranges
from ann2sdnn.sdnn.netx.export import check_legal, stock_legal
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX, STATE_MAX, Grid

SIZE = (30, 40)


def pooled(pool: Pool | None, size: tuple[int, int], *, relu: bool = True) -> Layer:
    weight = random_weights(np.random.default_rng(0), 3, 1, 3, 3)
    geometry = Convolution(pads=(1, 1, 1, 1))
    return Layer("conv", geometry, weight, None, relu, pool, (1, *size))


def output(layers: tuple[Layer, ...], frames: Tensor) -> Tensor:
    network = FloatNetwork(Graph(layers[0].input_shape, layers, 1 / 255))
    return network(network.encode(frames))


@pytest.mark.parametrize(
    ("size", "pool", "kernels"),
    [
        ((5, 8), Pool("average", (5, 8), (5, 8)), [(5, 8)]),
        ((12, 20), Pool("average", (5, 5), (1, 2)), [(5, 5)]),
        ((12, 20), Pool("average", (5, 5), (5, 5), (2, 2, 2, 2)), [(5, 5)]),
        (SIZE, Pool("average", SIZE, (1, 1)), None),
        ((130, 172), Pool("average", (130, 172), (130, 172)), None),
        ((68, 140), Pool("average", (34, 70), (34, 70)), None),
        ((131, 37), Pool("average", (131, 37), (131, 37)), None),
        ((37, 41), Pool("average", (37, 41), (1, 1)), None),
    ],
)
@pytest.mark.parametrize("relu", [True, False])
def test_the_average_stays_the_same(
    size: tuple[int, int], pool: Pool, kernels: list[tuple[int, int]] | None, relu: bool
) -> None:
    layer = pooled(pool, size, relu=relu)
    frames = moving_frames(2, (1, *size))
    (found,) = split_averages((layer,))
    assert all(is_average(one) for one in found[1:])
    shapes = [one.weight.shape[2:] for one in found[1:]]
    if kernels is None:
        assert len(shapes) == 2
        assert max(max(shape) for shape in shapes) <= 127
    else:
        assert shapes == kernels
    torch.testing.assert_close(output(found, frames), output((layer,), frames))


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_other_pools_and_small_averages_are_left_alone(kind: str) -> None:
    for pool in (Pool("average", (4, 4), (4, 4)), Pool(kind, (8, 8), (8, 8)), None):  # type: ignore[arg-type]
        layer = pooled(pool, (16, 24))
        assert split_averages((layer,)) == ((layer,),)


def test_an_average_takes_no_name_that_another_layer_has() -> None:
    first = pooled(Pool("average", (12, 20), (12, 20)), (12, 20))
    weight = np.ones((3, 3, 1, 1), np.float32)
    second = Layer("conv_average", Convolution(), weight, None, False, None, (3, 1, 1))
    names = [layer.name for parts in split_averages((first, second)) for layer in parts]
    assert names == ["conv", "conv_average_2", "conv_average"]


@pytest.fixture(scope="module", params=[0, 1])
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Conv, ReLU, a global average over 1,200 pixels, Gemm."""
    rng = np.random.default_rng(request.param)
    model = ModelBuilder((1, 1, *SIZE))
    model.add("Conv", random_weights(rng, 6, 1, 3, 3), pads=(1, 1, 1, 1)).add("Relu")
    model.add("GlobalAveragePool").add("Flatten")
    model.add("Gemm", random_weights(rng, 4, 6), rng.normal(0, 0.1, 4).astype(np.float32), transB=1)
    path = model.save(tmp_path_factory.mktemp("model") / "model.onnx")
    return read_onnx(Path(path), input_scale=1 / 255)


def planned(
    graph: Graph, frames: Tensor, runs: list[ArrayRun], *, free_shifts: bool = False
) -> RangePlan:
    evidence = Evidence(
        graph, measure(graph, runs), None, measure_sensitivity(graph, list(frames), probes=4)
    )
    return plan_range(evidence, Grid(6), headroom=1.25, free_shifts=free_shifts)


def test_a_global_average_converts_as_it_is_asked_by_default(classifier: Graph) -> None:
    frames = moving_frames(9, classifier.input_shape)
    runs = [ArrayRun(frames.numpy()[start : start + 3]) for start in (0, 3, 6)]
    plan = planned(classifier, frames, runs)
    rounded, _ = round_sequentially(classifier, plan, list(frames))
    for one in rounded:
        if is_average(one.layer):
            assert all(len(set(channel.ravel().tolist())) == 1 for channel in one.steps[0])
            assert one.steps[0].min() >= 1
    assert range_used_by_frames(classifier, plan, rounded, list(frames)) < 1
    spec = spec_from(classifier, plan, rounded, "0" * 64)
    lowered = lower_spec(spec)
    check_legal(lowered)
    assert stock_legal(lowered)
    for layer in measure_ranges(lowered.spec, runs):
        assert layer.message_peak <= MESSAGE_MAX
        assert max(layer.state_peak, layer.sum_peak) <= STATE_MAX
    run = Engine(lowered.spec).run(frames)
    ann = FloatNetwork(classifier)
    expected = ann(ann.encode(frames))
    error = lowered.unpacking(run.outputs) - expected
    assert float(error.norm() / expected.norm()) < 0.01


def test_free_shifts_plan_averages_too(classifier: Graph) -> None:
    frames = moving_frames(6, classifier.input_shape)
    plan = planned(classifier, frames, [ArrayRun(frames.numpy())], free_shifts=True)
    assert plan.noise.relative_error < 0.005
