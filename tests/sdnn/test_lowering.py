"""A lowered network computes what the original computes, with of convolutions and dense layers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from networks import MAX_POOL, SUM_POOL, moving_frames, random_spec, small_graph
from random_networks import float64_output, graphs, specs

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, TransposedConvolution
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.lower import Unpacking, graph_of_spec, lower, lower_spec
from ann2sdnn.sdnn.lowering.pooling import pair_up
from ann2sdnn.sdnn.netx.export import LOADED
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ConversionError


def assert_lowered_equals(graph: Graph) -> None:
    """Same output up to float64 rounding (averages divide in float32), from legal layers only."""
    lowered = lower(graph)
    for layer in lowered.graph.layers:
        row = layer.geometry.netx_row(layer.input_shape, layer.weight.shape)
        assert row is not None
        assert row.type in LOADED
        assert layer.relu
        assert layer.pool is None
    torch.manual_seed(0)
    x = torch.rand(2, *graph.input_shape, dtype=torch.float64)
    expected = float64_output(graph, x)
    found = lowered.unpacking(float64_output(lowered.graph, x))
    assert found.shape == expected.shape
    rounding = 1e-6 if any(x.pool and x.pool.kind == "average" for x in graph.layers) else 1e-12
    assert torch.allclose(
        found, expected, rtol=0, atol=rounding * max(1.0, float(expected.abs().max()))
    )


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_any_graph_lowered_computes_the_same_or_is_refused(graph: Graph) -> None:
    refusal = refusal_of(graph)
    if refusal is None:
        assert_lowered_equals(graph)
    else:
        assert "does not divide" in refusal
        assert any(isinstance(x.geometry, TransposedConvolution) for x in graph.layers)


def refusal_of(graph: Graph) -> str | None:
    try:
        lower(graph)
    except ConversionError as error:
        return str(error)
    return None


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(
    "pool",
    [
        MAX_POOL,
        Pool("max", (3, 3), (2, 2)),
        Pool("max", (3, 3), (2, 2), (1, 1, 1, 1)),
        Pool("max", (5, 2), (1, 2), (0, 1, 2, 0)),
        Pool("average", (3, 3), (2, 2), (1, 0, 1, 0)),
        Pool("sum", (2, 2), (2, 2)),
        Pool("max", (1, 1), (2, 2)),
    ],
)
def test_every_pooling_is_lowered(pool: Pool, dense: bool) -> None:
    assert_lowered_equals(small_graph(pool=pool, dense=dense))


def chain(
    *steps: tuple[TransposedConvolution | Convolution | Dense, tuple[int, ...], Pool | None],
    input_shape: Shape,
    relu: bool = True,
) -> Graph:
    rng = np.random.default_rng(3)
    shape, layers = input_shape, []
    for index, (geometry, size, pool) in enumerate(steps):
        weight = rng.standard_normal(size).astype(np.float32)
        layers.append(Layer(f"layer{index}", geometry, weight, None, relu, pool, shape))
        shape = layers[-1].output_shape
    return Graph(input_shape, tuple(layers))


UP = TransposedConvolution(stride=(2, 2), pads=(0, 0, 1, 1))
UP4 = TransposedConvolution(stride=(4, 4), pads=(0, 0, 0, 0))
SAME = Convolution(pads=(1, 1, 1, 1))


@pytest.mark.parametrize("relu", [True, False])
def test_pooling_strides_and_global_pooling_work_on_packed_grids(relu: bool) -> None:
    """Packing 2, then 8; pooled down again, dilated, strided, summed over everything."""
    steps = (
        (UP, (1, 3, 3, 3), None),
        (UP4, (3, 2, 4, 4), Pool("max", (2, 2), (2, 2))),
        (Convolution(pads=(4, 4, 4, 4), dilation=(4, 4)), (3, 2, 3, 3), None),
        (Convolution(pads=(1, 1, 1, 1), stride=(2, 2)), (2, 3, 3, 3), None),
        (SAME, (2, 2, 3, 3), Pool("average", (10, 12), (10, 12))),
        (Dense(), (3, 2), None),
    )
    assert_lowered_equals(chain(*steps, input_shape=(1, 5, 6), relu=relu))


def test_positions_of_a_packed_grid_that_do_not_mix_become_groups() -> None:
    graph = chain(
        (UP, (1, 3, 3, 3), None),
        (Convolution(pads=(2, 2, 2, 2), dilation=(2, 2)), (5, 3, 3, 3), None),
        input_shape=(1, 5, 6),
    )
    geometry = lower(graph).graph.layers[1].geometry
    assert isinstance(geometry, Convolution)
    assert (geometry.groups, geometry.dilation) == (4, (1, 1))


def test_the_host_crops_what_does_not_divide_at_the_end_of_the_network() -> None:
    """A full stride-2 result of 11 rows is held as 6 coarse rows; only a layer after it minds."""
    up = TransposedConvolution(stride=(2, 2))
    graph = chain((up, (1, 3, 3, 3), None), input_shape=(1, 5, 5))
    assert graph.output_shape == (3, 11, 11)
    assert lower(graph).graph.output_shape == (12, 6, 6)
    assert_lowered_equals(graph)
    with pytest.raises(ConversionError, match=r"layer1: .*11 pixels.*2 to a coarse pixel"):
        lower(chain((up, (1, 3, 3, 3), None), (SAME, (2, 3, 3, 3), None), input_shape=(1, 5, 5)))
    # A dense layer has weight 0 for what lies beyond.
    assert_lowered_equals(
        chain((up, (1, 3, 3, 3), None), (Dense(), (4, 363), None), input_shape=(1, 5, 5))
    )


def test_groups_are_merged_until_lava_can_count_them() -> None:
    """200 groups do not fit its signed byte; 100 of twice the size do the same."""
    graph = chain((Convolution(groups=200), (400, 1, 1, 1), None), input_shape=(200, 2, 2))
    geometry = lower(graph).graph.layers[0].geometry
    assert isinstance(geometry, Convolution)
    assert geometry.groups == 100
    assert_lowered_equals(graph)


def test_a_convolution_after_a_dense_layer_is_refused() -> None:
    graph = chain(
        (Dense(), (4, 30), None), (Convolution(), (2, 4, 1, 1), None), input_shape=(1, 5, 6)
    )
    with pytest.raises(ConversionError, match="layer1: a conv after a dense layer"):
        lower(graph)


def test_a_sum_over_non_negative_inputs_needs_no_negative_half() -> None:
    """Pixels are never negative, so averaging them needs one channel, not two."""
    weight = np.ones((1, 1, 1, 1), np.float32)
    layer = Layer(
        "average", Convolution(), weight, None, False, Pool("average", (2, 2), (2, 2)), (1, 4, 4)
    )
    lowered = lower(Graph((1, 4, 4), (layer,)))
    assert [x.weight.shape[0] for x in lowered.graph.layers] == [1, 1]
    assert lowered.unpacking == Unpacking((1, 2, 2))


def test_an_input_of_both_signs_keeps_them_in_a_layer_without_relu() -> None:
    """Positive weights and no ReLU: from pixels nothing is negative, from float32 values it is."""
    weight = np.full((2, 1, 3, 3), 0.5, np.float32)
    layer = Layer("blur", SAME, weight, None, False, None, (1, 4, 4))
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 1, 4, 4)))
    for preprocessing, n_channels in (
        (Preprocessing(), 2),
        (Preprocessing(mean=(0.5,)), 4),
        (Preprocessing(dtype="float32"), 4),
    ):
        graph = Graph((1, 4, 4), (layer,), preprocessing=preprocessing)
        lowered = lower(graph)
        assert lowered.graph.output_shape[0] == n_channels
        found = lowered.unpacking(float64_output(lowered.graph, x))
        assert torch.equal(found, float64_output(graph, x)) == (n_channels == 4)


def test_a_pair_is_a_difference_and_the_smaller_one() -> None:
    """max(x, y) = relu(x - y) + y; a third value is passed on."""
    rows, values = pair_up(np.eye(3, dtype=np.float32), signed=False)
    assert rows.tolist() == [[1, -1, 0], [0, 1, 0], [0, 0, 1]]
    assert values.tolist() == [[1, 1, 0], [0, 0, 1]]
    rows, values = pair_up(values, signed=False)
    assert rows.tolist() == [[1, 1, -1], [0, 0, 1]]
    assert values.tolist() == [[1, 1]]


def test_unpacking_puts_positions_and_terms_in_their_places() -> None:
    """One channel, packing 2x1, value = first term - second term."""
    held = torch.tensor([5.0, 1.0, 7.0, 3.0]).reshape(1, 4, 1, 1)
    assert Unpacking((1, 2, 1), (2, 1), (1, -1))(held).tolist() == [[[[4.0], [4.0]]]]
    assert Unpacking((1, 2, 1), (2, 1), (1, 1))(held).tolist() == [[[[6.0], [10.0]]]]


def decoded(spec: Spec, frames: torch.Tensor) -> torch.Tensor:
    """What a receiver of the last layer's messages has summed up, step by step."""
    run = Engine(spec).run(frames, keep_messages=True)
    assert run.messages is not None
    return torch.cumsum(run.messages[-1].double(), dim=0)


def in_range(spec: Spec, frames: torch.Tensor) -> bool:
    run = Engine(spec).run(frames)
    return int(run.overflows.sum()) == 0


@settings(max_examples=25, deadline=None)
@given(specs())
def test_a_lowered_spec_decodes_to_the_original_exactly(spec: Spec) -> None:
    """Thresholds of 0: rounding down commutes with the maximum, so not one bit differs."""
    assume(refusal_of(graph_of_spec(spec)) is None)
    lowered = lower_spec(spec)
    frames = moving_frames(4, (spec.input_shape[0], 9, 9))[..., : spec.input_shape[1], :]
    frames = frames[..., : spec.input_shape[2]]
    assume(in_range(spec, frames))
    assert not lowered.differences
    found = lowered.unpacking(decoded(lowered.spec, frames))
    assert torch.equal(found, decoded(spec, frames))


def test_thresholds_stay_before_the_tree_and_after_the_sum() -> None:
    lowered = lower_spec(random_spec(threshold=5, pool=MAX_POOL))
    found = [layer.threshold for layer in lowered.spec.layers]
    assert found == [5, 0, 0, 5, 5, 5, 5]
    lowered = lower_spec(random_spec(threshold=5, pool=SUM_POOL))
    assert [layer.threshold for layer in lowered.spec.layers] == [0, 5, 5, 5, 5, 5]
    assert len(lowered.differences) == 1


@pytest.mark.parametrize("threshold", [1, 6])
def test_with_thresholds_a_maximum_is_wrong_by_less_than_its_threshold(threshold: int) -> None:
    """One pooled layer: lowered and original each lie within a threshold of the exact maximum."""
    spec = random_spec(threshold=threshold, pool=MAX_POOL)
    spec = replace(spec, layers=spec.layers[:1])
    exact = replace(spec, layers=(replace(spec.layers[0], threshold=0),))
    lowered = lower_spec(spec)
    frames = moving_frames(12)
    expected = decoded(exact, frames)
    found = lowered.unpacking(decoded(lowered.spec, frames))
    bound = threshold / 64 + spec.grid.message_step
    assert 0 < float((found - expected).abs().max()) < bound


def test_memoryless_layers_are_refused() -> None:
    spec = random_spec()
    layers = (replace(spec.layers[0], is_stateful=False), *spec.layers[1:])
    with pytest.raises(ConversionError, match="layer1 is memoryless"):
        lower_spec(replace(spec, layers=layers))


@pytest.mark.parametrize(
    "size", [(64, 80), (128, 172), pytest.param((260, 344), marks=pytest.mark.slow)]
)
def test_the_pose_network_becomes_21_convolutions(tmp_path: Path, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    write_onnx(tmp_path / "model.onnx", PoseNet().weights(), 1 / 255)
    graph = read_onnx(tmp_path / "model.onnx", input_size=size)
    lowered = lower(graph)
    assert len(lowered.graph.layers) == 21
    x = torch.rand(1, 1, *size, dtype=torch.float64)
    expected = float64_output(graph, x)
    found = lowered.unpacking(float64_output(lowered.graph, x))
    assert float(expected.max()) > 0
    assert float((found - expected).abs().max()) < 1e-12 * float(expected.max())
