"""Ranges of layers with few neurons per channel, extrapolated from the frames at hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from networks import small_graph
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import nn

import ann2sdnn as a2s
from ann2sdnn.calibration.measure.extremes import FrameExtremes
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.thresholds.rules import NoThresholds
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.sources.arrays import ArrayFrames

Values = NDArray[Any]


def levels_of(values: Values, n_sequences: int) -> tuple[Values, Values]:
    """Of values [n frames, C], each its own frame."""
    extremes = FrameExtremes(values.shape[1])
    for frame in values:
        extremes.add(frame[None, None])
    levels = extremes.levels(n_sequences)
    assert levels is not None
    return levels


def test_by_hand() -> None:
    # Means 1 and 0, variances 2 and 8 of the channels; those of largest and smallest are the same.
    high, low = levels_of(np.array([[0.0, -2.0], [2.0, 2.0]]), n_sequences=2)
    quantile = student.isf(1e-3, 9) * math.sqrt(1.5)
    # 4 is the geometric mean of 2 and 8. The mean log of chi-square with 1 degree is -1.27036.
    spread = np.sqrt((8 * 4 * math.exp(1.2703628) + np.array([2.0, 8.0])) / 9)
    np.testing.assert_allclose(high, [1, 0] + quantile * spread)
    np.testing.assert_allclose(low, [1, 0] - quantile * spread)


@pytest.mark.parametrize("n_frames", [4, 8, 16, 64])
def test_about_one_frame_in_a_thousand_exceeds_the_level(n_frames: int) -> None:
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.7, 1.4, 400)
    high, low = levels_of(rng.normal(0, scale, (n_frames, 400)), n_frames)
    others = rng.normal(0, scale, (2000, 400))
    beyond = float(((others > high) | (others < low)).mean())
    assert beyond < 2 * 1.5e-3
    largest = rng.normal(0, scale, (n_frames, 400)).max(axis=0)
    assert float((others > largest).mean()) > 5 * beyond


def test_a_channel_that_never_changes_stays_where_it_is() -> None:
    values = np.stack([np.full(6, 3.0), np.arange(6.0)], axis=1)
    high, low = levels_of(values, 6)
    assert (high[0], low[0]) == (3, 3)
    assert high[1] > 5


def test_only_small_layers_are_extrapolated() -> None:
    graph = small_graph(dense=True)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (6, *graph.input_shape)).astype(np.uint8)
    layers = measure(graph, [ArrayFrames(frames)]).layers
    n_neurons = [math.prod(layer.preactivation_shape[1:]) for layer in graph.layers]
    assert [layer.expected is not None for layer in layers] == [n <= 64 for n in n_neurons]
    for layer, seen in zip(graph.layers, layers, strict=True):
        if seen.expected is None:
            assert np.array_equal(seen.peaks.state, seen.state_peak)
            assert np.array_equal(seen.peaks.message, seen.message_peak)
        else:
            assert (seen.peaks.state >= seen.state_peak).all()
            assert (seen.peaks.state > seen.state_peak).any()
            assert (seen.peaks.message > seen.message_peak).any()
            assert (seen.expected.state > 0).all()
            assert layer.relu


def test_a_dense_network_stays_in_range_on_other_frames() -> None:
    """Calibrated on eight pictures at default options, and run on 300 others."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(100, 40), nn.ReLU(), nn.Linear(40, 10))
    rng = np.random.default_rng(0)
    patterns = np.random.default_rng(5).random((10, 1, 10, 10)) < 0.15

    def pictures(n: int) -> Values:
        """One of ten patterns each, most of them weak."""
        chosen = patterns[rng.integers(0, 10, n)]
        values: Values = 255 * chosen * rng.random((n, 1, 1, 1)) ** 2
        return values.astype(np.uint8)

    options = ConvertOptions(thresholds=NoThresholds())
    network = a2s.from_torch(module, torch.zeros(1, 1, 10, 10), input_scale=1 / 255)
    sdnn = a2s.to_sdnn(network, list(pictures(8)[:, None]), options=options)
    assert sdnn.report.headroom == 2
    n_left = 0
    for picture in pictures(300):
        run = sdnn.run(picture[None])
        n_left += int(run.overflows.sum() + run.oversized.sum())
    assert n_left == 0
