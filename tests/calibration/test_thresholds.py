"""The threshold rules, on statistics made by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from ann2sdnn.calibration.measure.histogram import Magnitudes
from ann2sdnn.calibration.measure.statistics import LayerStatistics, Statistics
from ann2sdnn.calibration.thresholds.rules import ThresholdOptions, ThresholdRule, choose_thresholds
from ann2sdnn.support.errors import UsageError


def statistics() -> Statistics:
    """Two layers whose changes are 1, 2, 4 and ten times that."""
    layers = []
    for factor in (1.0, 10.0, 1.0):
        changes = Magnitudes.empty().plus(torch.tensor([0.0, 1.0, 2.0, 4.0]) * factor)
        one = np.ones(1)
        layers.append(LayerStatistics(-one, one, one, 1.0, 1.0, 1.0, changes, changes))
    return Statistics(tuple(layers), n_frames=2, n_runs=1)


SCALES = (1.0, 0.5, 1.0)


def test_none_is_zero_everywhere() -> None:
    assert choose_thresholds(ThresholdOptions(), statistics(), SCALES) == (0, 0, 0)


def test_fixed_is_the_same_number_as_in_slayer_truncated_to_64ths() -> None:
    options = ThresholdOptions(ThresholdRule.FIXED, value=0.1)
    assert choose_thresholds(options, statistics(), SCALES) == (6, 6, 0)
    slightly = ThresholdOptions(ThresholdRule.FIXED, value=0.001)
    assert choose_thresholds(slightly, statistics(), SCALES) == (0, 0, 0)


def test_percentile_follows_each_layers_changes_and_its_scale() -> None:
    """Half of the changes lie below 2 (20); times the scale, in 64ths: 128 and 640."""
    options = ThresholdOptions(ThresholdRule.PERCENTILE, percent=50)
    chosen = choose_thresholds(options, statistics(), SCALES)
    assert chosen[0] == 128
    assert chosen[1] == pytest.approx(640, rel=1 / 8)
    assert chosen[2] == 0


@pytest.mark.parametrize("wrong", [{"value": -0.1}, {"percent": 101.0}, {"percent": -1.0}])
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        ThresholdOptions(ThresholdRule.FIXED, **wrong)


def test_mean_delta_is_a_multiple_of_the_mean_change() -> None:
    """The mean of 1, 2 and 4 is 7 / 3 (a bin is an eighth wide), ten times that, times 1/2."""
    options = ThresholdOptions(ThresholdRule.MEAN_DELTA, factor=0.5)
    chosen = choose_thresholds(options, statistics(), SCALES)
    assert chosen[0] == pytest.approx(0.5 * 7 / 3 * 64, rel=1 / 8)
    assert chosen[1] == pytest.approx(5 * chosen[0], rel=1 / 8)
    assert chosen[2] == 0


def test_more_binary_places_count_in_finer_units() -> None:
    coarse, fine = (
        choose_thresholds(ThresholdOptions(ThresholdRule.FIXED, 0.1, bits=b), statistics(), SCALES)
        for b in (0, 3)
    )
    assert coarse[0] == 6
    assert fine[0] == 51
