"""Torchvision's networks with random weights: layers, error, and the engine beside the reference.

Weights are rounded to the nearest with a shift per layer, which takes less time than compensated
rounding and is as good on calibration frames as on others.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from applications_script import script
from engine_results import assert_equal

from ann2sdnn.calibration.thresholds.rules import MeanDelta
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.support.progress import SILENT

pytestmark = pytest.mark.slow

OPTIONS = ConvertOptions(
    thresholds=MeanDelta(0.01),  # low, so that the error is that of rounding
    quantise=QuantiseOptions(relays=0, shifts="per-layer", rounding="nearest"),
)


@dataclass(frozen=True)
class Expected:
    """The number of ``layers``, and of those with ``two`` synapses; ``error``: predicted relative
    error at most, with a margin for other processors.
    """

    layers: int
    two: int
    error: float


EXPECTED = {
    "resnet18": Expected(layers=18, two=8, error=0.15),
    "mobilenet_v2": Expected(layers=53, two=10, error=0.9),
}


@cache
def converted(name: str) -> Any:
    pytest.importorskip("torchvision")
    return script("torchvision_models").converted(name, OPTIONS, SILENT)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_has_the_layers_and_shortcuts_of_the_architecture(name: str) -> None:
    synapses = [len(layer.synapses) for layer in converted(name).sdnn.spec.layers]
    expected = EXPECTED[name]
    assert (len(synapses), synapses.count(2)) == (expected.layers, expected.two)


@pytest.mark.parametrize("name", EXPECTED)
def test_other_frames_have_about_the_error_that_is_predicted(name: str) -> None:
    sdnn, comparison = converted(name).sdnn, converted(name).comparison
    predicted = sdnn.report.plan.foreseen_error
    assert 0.01 < predicted < EXPECTED[name].error
    for row in ("memoryless", "sdnn"):
        # 1.1 and 0.6 of it.
        assert 0.4 * predicted < comparison[row].relative_error < 1.3 * predicted


@pytest.mark.parametrize("name", EXPECTED)
def test_the_engine_sends_what_the_reference_does(name: str) -> None:
    spec = converted(name).sdnn.spec
    assert max(layer.threshold for layer in spec.layers) > 0
    frames = torch.from_numpy(script("torchvision_models").moving(4, 1)[0][:2])
    found, expected = (run(spec).run(frames, keep_messages=True) for run in (Engine, Reference))
    assert_equal(found, expected)
