"""Relays where layers read several others: one per source, shared, and read by name."""

import numpy as np
import pytest
import torch
from branched_networks import branched_graph
from calibration_cases import Case, measured_case, relative_of_outputs
from networks import moving_frames

from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, round_nearest
from ann2sdnn.calibration.scales.plan import ScaleOptions
from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.convert.stages.probes import relayed_planes
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import INPUT
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec

ALL = tuple(range(9))


@pytest.fixture(scope="module")
def measured() -> Case:
    return measured_case(branched_graph(n_outputs=2), moving_frames(6))


def spec_with(measured: Case, relays: tuple[int, ...]) -> Spec:
    plan = measured.plan(ScaleOptions(relays=relays))
    return spec_from(measured.graph, plan, round_nearest(measured.graph, plan), "0" * 64)


def sources(spec: Spec) -> dict[str, list[str]]:
    return {
        layer.name: [spec.plane_names[plane] for plane in spec.reads[index]]
        for index, layer in enumerate(spec.layers)
    }


def test_layers_that_read_relays_of_one_source_share_it(measured: Case) -> None:
    """``down`` and ``pooled`` read ``add1``; of the two, ``down`` also reads ``stem``."""
    spec = spec_with(measured, (3, 4))
    found = sources(spec)
    assert list(found) == [
        *("stem", "block1", "add1", "down_relay", "down_relay_2", "down", "pooled"),
        *("deep", "up", "joined", "heads"),
    ]
    assert found["down_relay"] == ["add1"]
    assert found["down_relay_2"] == ["stem"]
    assert found["down"] == ["down_relay", "down_relay_2"]
    assert found["pooled"] == ["down_relay"]
    # Who has no relay reads the source itself.
    assert found["add1"] == ["block1", "stem"]
    assert found["joined"] == ["up", "add1", INPUT]
    assert spec.output_names == ("heads", "deep")
    assert relayed_planes(spec, measured.graph) == {3: 3, 4: 1}


def test_exact_synapses_read_their_source(measured: Case) -> None:
    found = sources(spec_with(measured, ALL))
    assert found["add1"] == ["add1_relay", "stem"]
    assert found["joined"] == ["joined_relay", "down_relay", INPUT]
    assert found["stem"] == ["stem_relay"]
    assert found["stem_relay"] == [INPUT]


def test_a_relay_has_the_shape_and_scale_of_its_source(measured: Case) -> None:
    spec = spec_with(measured, (3, 7))
    by_name = {layer.name: layer for layer in spec.layers}
    relay, source = by_name["down_relay_2"], by_name["stem"]
    assert relay.is_relay
    assert relay.geometry == Convolution(groups=6)
    assert relay.input_shape == source.output_shape
    np.testing.assert_allclose(relay.scale[::2], source.scale)
    np.testing.assert_allclose(relay.scale[1::2] * 32, source.scale)
    # ``up`` has no ReLU, so its relay has none either.
    assert not by_name["joined_relay"].relu
    assert relay.relu


@pytest.mark.parametrize("relays", [(), (3,), (2, 7), ALL])
def test_the_spec_computes_what_was_rounded(measured: Case, relays: tuple[int, ...]) -> None:
    """Only the smaller copy of a relay is floored again, so relays make little difference."""
    graph, plan = measured.graph, measured.plan(ScaleOptions(relays=relays))
    rounded = round_nearest(graph, plan)
    spec = spec_from(graph, plan, rounded, "0" * 64)
    run = Reference(spec).run(measured.frames)
    assert int(run.overflows.sum()) == int(run.oversized.sum()) == 0
    expected = QuantisedNetwork(graph, plan, rounded)(measured.frames)
    if relays:
        assert relative_of_outputs(graph, run.outputs, expected) < 2e-3
    else:
        torch.testing.assert_close(run.outputs, expected, rtol=0, atol=1e-6)


def test_relays_are_placed_where_they_are_predicted_to_help_most(measured: Case) -> None:
    plan = plan_range(measured.evidence, Grid(6), headroom=1.25, n_relays=2)
    assert len(plan.relays) == 2
    assert plan.relay_errors[0] > plan.relay_errors[1] > plan.relay_errors[2]
    singles = [measured.plan(ScaleOptions(relays=(i,))).noise.relative_error for i in ALL]
    assert plan.relay_errors[1] == pytest.approx(min(singles), rel=0.05)
