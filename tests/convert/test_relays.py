"""Relays in the spec: exact, legal for netx, and worth the bits they promise."""

import numpy as np
import pytest
import torch
from calibration_cases import case, relative
from networks import MAX_POOL

from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, round_nearest
from ann2sdnn.calibration.scales.plan import ScaleOptions
from ann2sdnn.convert.stages.assemble import relay_name, spec_from
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine

AVERAGE_POOL = Pool("average", (2, 2), (2, 2))
ALL = tuple(range(7))


@pytest.mark.parametrize(
    ("pool", "relays", "free_shifts"),
    [
        (MAX_POOL, (), False),
        (AVERAGE_POOL, (), True),
        (MAX_POOL, (0, 5), True),
        (AVERAGE_POOL, ALL, False),
    ],
)
def test_the_spec_computes_what_was_rounded(
    pool: Pool, relays: tuple[int, ...], free_shifts: bool
) -> None:
    """Groups, strides, cropping, biases, pooling, dense: all with copies of their inputs.

    Only the smaller copy is floored again, so with relays the two differ by little.
    """
    measured = case(pool=pool, dense=True, n_frames=3)
    plan = measured.plan(ScaleOptions(relays=relays, free_shifts=free_shifts))
    rounded = round_nearest(measured.graph, plan)
    spec = spec_from(measured.graph, plan, rounded, "")
    run = Engine(spec).run(measured.frames)
    expected = QuantisedNetwork(measured.graph, plan, rounded)(measured.frames)
    assert int(run.overflows.sum()) == int(run.oversized.sum()) == 0
    if relays:
        assert relative(run.outputs, expected) < 2e-3
    else:
        torch.testing.assert_close(run.outputs, expected, rtol=0, atol=1e-6)


def test_a_relay_is_a_diagonal_convolution_of_32_and_1() -> None:
    measured = case(pool=MAX_POOL, n_frames=2)
    plan = measured.plan(ScaleOptions(relays=(1,)))
    spec = spec_from(measured.graph, plan, round_nearest(measured.graph, plan), "")
    relay = spec.layers[1]
    assert [layer.name for layer in spec.layers][:3] == ["layer1", relay_name("layer2"), "layer2"]
    assert relay.geometry == Convolution(groups=6)
    assert relay.weight.flatten().tolist() == [64, 2] * 6
    assert relay.relu
    np.testing.assert_allclose(relay.scale[::2], 32 * relay.scale[1::2])
    assert spec.layers[2].weight.shape == (8, 12, 3, 3)
    assert np.abs(spec.layers[2].weight[:, 1::2]).max() <= 32  # at most half a coarse step
