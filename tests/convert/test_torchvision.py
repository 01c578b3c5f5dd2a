"""Torchvision's networks with random weights: their layers, and the engine beside the reference.

Without relays they lie too far from the ANN to be used, so no error is stated.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from applications_script import script
from engine_results import assert_equal

from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.support.progress import SILENT

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Expected:
    """The number of ``layers``, and of those with ``two`` synapses."""

    layers: int
    two: int


EXPECTED = {
    "resnet18": Expected(layers=18, two=8),
    "mobilenet_v2": Expected(layers=53, two=10),
}


@cache
def converted(name: str) -> Any:
    pytest.importorskip("torchvision")
    return script("torchvision_models").converted(name, 0, SILENT)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_has_the_layers_and_shortcuts_of_the_architecture(name: str) -> None:
    synapses = [len(layer.synapses) for layer in converted(name).sdnn.spec.layers]
    expected = EXPECTED[name]
    assert (len(synapses), synapses.count(2)) == (expected.layers, expected.two)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_engine_sends_what_the_reference_does(name: str) -> None:
    spec = converted(name).sdnn.spec
    frames = torch.from_numpy(script("torchvision_models").moving(4, 1)[0][:2])
    found, expected = (run(spec).run(frames, keep_messages=True) for run in (Engine, Reference))
    assert_equal(found, expected)
