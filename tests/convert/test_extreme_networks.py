"""Numbers that calibration cannot work with are named; what it can work with converts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import ArrayRun, moving_frames
from onnx_models import ModelBuilder, random_weights

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork
from ann2sdnn.calibration.rounding.sequential import round_sequentially
from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.errors import ConversionError, ModelError

SHAPE = (1, 20, 24)


def network(
    folder: Path,
    factors: Sequence[float] = (1, 1, 1),
    *,
    channel: tuple[int, float] | None = None,
    bias: Sequence[float] = (0, 0, 0, 0, 0),
) -> Graph:
    """Three convolutions; the second's channel ``channel[0]`` is ``channel[1]`` times as large."""
    rng = np.random.default_rng(0)
    first, second, third = (
        np.float32(factor) * random_weights(rng, *size)
        for factor, size in zip(factors, ((4, 1, 3, 3), (5, 4, 3, 3), (3, 5, 1, 1)), strict=True)
    )
    if channel is not None:
        second[channel[0]] *= np.float32(channel[1])
    model = ModelBuilder((1, *SHAPE))
    model.add("Conv", np.abs(first), pads=(1, 1, 1, 1)).add("Relu")
    model.add("Conv", second, np.array(bias, np.float32), pads=(1, 1, 1, 1)).add("Relu")
    model.add("Conv", third).add("Relu")
    return read_onnx(model.save(folder / "model.onnx"), input_scale=1 / 255)


def error_of(graph: Graph, *, may_be_silent: bool = False) -> float:
    """Relative error of the output after calibration and rounding."""
    frames = moving_frames(8, SHAPE)
    statistics = measure(graph, [ArrayRun(frames.numpy())], may_be_silent=may_be_silent)
    evidence = Evidence(graph, statistics, None, measure_sensitivity(graph, list(frames)))
    plan = plan_range(evidence, Grid(6), headroom=1.25)
    rounded, _ = round_sequentially(graph, plan, list(frames))
    ann = FloatNetwork(graph)
    expected = ann(ann.encode(frames)).double()
    found = QuantisedNetwork(graph, plan, rounded)(frames).double()
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("factors", "layer", "reach"),
    [
        ((1e20, 1e-20, 1), "n0_Conv", r"e\+(19|20)"),
        ((1e-20, 1e20, 1), "n0_Conv", r"e-(19|20|21)"),
        ((1, 1e-42, 1), "n2_Conv", r"e-4"),
        ((1, 1, 1e-30), "n4_Conv", r"e-(29|30|31)"),
    ],
)
def test_activations_too_large_or_small_to_be_squared_are_named(
    factors: Sequence[float], layer: str, reach: str, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=f"layer {layer}: its activations reach .*{reach}"):
        error_of(network(tmp_path, factors))


@pytest.mark.parametrize("value", [1e20, 1e-20])
def test_weights_of_very_different_sizes_in_one_layer(value: float, tmp_path: Path) -> None:
    """A channel of 1e20 is refused by name, one of 1e-20 is a channel like any other."""
    graph = network(tmp_path, channel=(1, value))
    if value > 1:
        with pytest.raises(ConversionError, match="layer n2_Conv: its activations reach"):
            error_of(graph)
    else:
        assert error_of(graph) < 0.1


def test_what_the_message_advises_works(tmp_path: Path) -> None:
    """One layer's weights up and the next one's down: the same function."""
    plain = error_of(network(tmp_path))
    assert error_of(network(tmp_path, (1e-9, 1e20, 1e-11))) == pytest.approx(plain, rel=0.5)


def test_a_network_that_overflows_by_itself_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"layer n2_Conv .* is not finite for a random input"):
        error_of(network(tmp_path, (1e30, 1e30, 1)))


@pytest.mark.parametrize("bias", [-1e20, -3e38])
def test_a_bias_that_leaves_others_no_range_is_named(bias: float, tmp_path: Path) -> None:
    graph = network(tmp_path, bias=(bias, 0, 0, 0, 0))
    with pytest.raises(ConversionError, match=r"n2_Conv: the pre-activation of channel 0 reaches"):
        error_of(graph)


@pytest.mark.parametrize("bias", [1e-42, 1e4, -10.0])
def test_biases_that_fit_are_no_trouble(bias: float, tmp_path: Path) -> None:
    assert error_of(network(tmp_path, bias=(bias, 0, 0, 0, 0))) < 0.1


def test_a_silent_layer_is_named_unless_it_may_be(tmp_path: Path) -> None:
    """A recording of nothing that is kept apart says nothing against the network."""
    graph = network(tmp_path, bias=[-1e3] * 5)
    runs = [ArrayRun(moving_frames(4, SHAPE).numpy())]
    with pytest.raises(ConversionError, match="layer n2_Conv is silent on all 4"):
        measure(graph, runs)
    assert measure(graph, runs, may_be_silent=True).layers[1].values.density == 0


def test_inputs_that_rounding_cannot_tell_apart_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_positive(*_: object) -> None:
        torch.linalg.cholesky(torch.full((2, 2), -1.0))

    monkeypatch.setattr("ann2sdnn.calibration.rounding.sequential.round_compensated", not_positive)
    with pytest.raises(ConversionError, match=r"layer n0_Conv: .*--rounding nearest"):
        error_of(network(tmp_path))
