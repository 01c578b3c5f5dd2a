"""The threshold rules, on statistics made by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import random_spec, small_graph

from ann2sdnn.calibration.measure.histogram import Magnitudes
from ann2sdnn.calibration.measure.statistics import LayerStatistics, Statistics
from ann2sdnn.calibration.thresholds.rule import (
    StatisticsRule,
    ThresholdInputs,
    ThresholdRule,
    register,
)
from ann2sdnn.calibration.thresholds.rules import (
    RULES,
    Fixed,
    MeanDelta,
    NoThresholds,
    Percentile,
)
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError

GRAPH = small_graph()


def statistics() -> Statistics:
    """Layers whose changes are 1, 2, 4 and, in the second layer, ten times that."""
    layers = []
    for factor in (1.0, 10.0, 1.0, 1.0, 1.0):
        changes = Magnitudes.empty().plus(torch.tensor([0.0, 1.0, 2.0, 4.0]) * factor)
        one = np.ones(1)
        layers.append(LayerStatistics(-one, one, one, changes, changes, one, one))
    return Statistics(tuple(layers), n_frames=2, n_runs=1)


def chosen(rule: ThresholdRule, bits: int = 0) -> Spec:
    """Scales are 1 and, in the second layer, 1/2; a relay stands before the third."""
    spec = random_spec()
    first, second, *others = spec.layers
    second = replace(second, scale=second.scale / 2)
    relay = replace(others[0], name="relay")
    layers = (first, second, relay, *others)
    spec = replace(spec, layers=layers, grid=Grid(6, threshold_bits=bits))
    return rule.choose(ThresholdInputs(GRAPH, spec, statistics(), []))[0].lava


def thresholds(rule: ThresholdRule, bits: int = 0) -> list[int]:
    """Of layers 1, 2, the relay and 3."""
    return [layer.threshold for layer in chosen(rule, bits).layers[:4]]


def test_none_is_zero_everywhere() -> None:
    assert {layer.threshold for layer in chosen(NoThresholds()).layers} == {0}


def test_fixed_is_the_same_number_as_in_slayer_truncated_to_64ths() -> None:
    assert [layer.threshold for layer in chosen(Fixed(0.1)).layers] == [6, 6, 0, 6, 6, 0]
    assert thresholds(Fixed(0.001)) == [0, 0, 0, 0]


def test_percentile_follows_each_layers_changes_and_its_scale() -> None:
    """Half of the changes lie below 2 (20); times the scale, in 64ths: 128 and 640."""
    first, second, relay, _ = thresholds(Percentile(50))
    assert first == 128
    assert second == pytest.approx(640, rel=1 / 8)
    assert relay == 0


def test_mean_delta_is_a_multiple_of_the_mean_change() -> None:
    """The mean of 1, 2 and 4 is 7 / 3 (a bin is an eighth wide), ten times that, times 1/2."""
    first, second, relay, _ = thresholds(MeanDelta(0.5))
    assert first == pytest.approx(0.5 * 7 / 3 * 64, rel=1 / 8)
    assert second == pytest.approx(5 * first, rel=1 / 8)
    assert relay == 0


def test_more_binary_places_count_in_finer_units() -> None:
    assert thresholds(Fixed(0.1), bits=0)[0] == 6
    assert thresholds(Fixed(0.1), bits=3)[0] == 51


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [(Fixed, {"value": -0.1}), (Percentile, {"percent": 101.0}), (Percentile, {"percent": -1.0})],
)
def test_nonsense_is_refused(rule: type[StatisticsRule], wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        rule(**wrong)


def test_a_name_belongs_to_one_rule() -> None:
    class Other(NoThresholds):
        name = "fixed"

    with pytest.raises(ValueError, match="fixed"):
        register(Other)
    assert RULES["fixed"] is Fixed


@pytest.mark.parametrize("name", list(RULES))
def test_every_point_of_a_sweep_belongs_to_a_series_of_its_rule(name: str) -> None:
    rule = RULES[name]
    assert {point.series for point in rule.sweep(Grid(6))} == {
        series.name for series in rule.series
    }
