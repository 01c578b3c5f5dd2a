"""Networks with branches converted as a whole: from a graph, and from a torch module."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from branched_networks import ResidualNet, branched_graph
from branched_specs import residual_spec
from calibration_cases import relative_of_outputs
from networks import ArrayRun, moving_frames

import ann2sdnn.api as a2s
from ann2sdnn.calibration.thresholds.rules import NoThresholds, RateDistortion
from ann2sdnn.convert.conversion import ConvertedGraph, convert_graph
from ann2sdnn.convert.explain.budget import sent_operations
from ann2sdnn.convert.folder import NETWORK_FILE
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.convert.render.document import render_html
from ann2sdnn.convert.render.summary import summary_lines
from ann2sdnn.convert.report.lowering import LoweringRefusal, LoweringReport, lowering_warnings
from ann2sdnn.convert.stages.lower import lower_and_measure
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.lower import Unpackings, lower_spec
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.sdnn.reference.reference import Reference, pipeline

RUNS = [
    ArrayRun(moving_frames(12, seed=seed).numpy(), f"run{seed}", str(seed)) for seed in range(5)
]


def converted_with(graph: Graph, options: ConvertOptions) -> ConvertedGraph:
    return convert_graph(graph, RUNS, options, source_sha256="0" * 64)


@pytest.fixture(scope="module")
def converted() -> ConvertedGraph:
    options = ConvertOptions(
        thresholds=RateDistortion(budget_error=0.05), quantise=QuantiseOptions(relays=2)
    )
    return converted_with(branched_graph(n_outputs=2), options)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_it_follows_the_ann_as_it_was_predicted(n_outputs: int) -> None:
    graph = branched_graph(n_outputs=n_outputs)
    fidelity = converted_with(graph, ConvertOptions(thresholds=NoThresholds())).report.fidelity
    assert fidelity.heatmap_relative_error is not None
    assert fidelity.heatmap_relative_error < 0.04
    assert fidelity.foreseen_relative_error is not None
    assert 1 / 3 < fidelity.heatmap_relative_error / fidelity.foreseen_relative_error < 2


def test_the_report_measures_what_the_network_does(converted: ConvertedGraph) -> None:
    graph, spec, report = converted.graph, converted.points.lava, converted.report
    frames = torch.cat([torch.from_numpy(run.frames) for run in RUNS[:1]])
    run = Engine(spec).run(frames)
    assert torch.equal(run.outputs, Reference(spec).run(frames).outputs)
    network = FloatNetwork(graph)
    error = relative_of_outputs(graph, run.outputs, network(network.encode(frames)))
    assert report.fidelity.heatmap_relative_error == pytest.approx(error, rel=0.3)
    assert report.fidelity.same_class is None
    against = next(line for line in summary_lines(report) if line.startswith("SDNN against ANN"))
    assert "output error" in against
    assert "px" not in against
    assert all(layer.activation_snr_db > 10 for layer in report.layers if layer.activation_snr_db)
    assert sum(layer.is_relay for layer in report.layers) == len(report.plan.relays) >= 2
    sources = {layer.name: layer.sources for layer in report.layers}
    assert sources["stem"] == ["input"]
    assert len(sources["joined"]) == 3
    assert report.plan.latency_steps == max(spec.depths) > max(graph.depths)


def test_a_budget_bounds_the_error_of_all_outputs(converted: ConvertedGraph) -> None:
    budget = converted.report.threshold_budget
    assert budget is not None
    assert budget.remembering.added is not None
    assert 0.02 < budget.remembering.added.value <= 0.05
    assert budget.remembering.added_error_predicted == pytest.approx(
        budget.remembering.added.value, rel=0.5
    )
    assert budget.remembering.synops_per_frame < 0.8 * budget.synops_per_frame_without
    assert budget.remembering.synops_per_frame == pytest.approx(
        budget.remembering.synops_per_frame_predicted, rel=0.2
    )


def test_operations_are_shared_out_to_those_who_send(converted: ConvertedGraph) -> None:
    """Of all planes together they are those of all layers; of a layer with one source, its own."""
    spec, report = converted.points.lava, converted.report
    sent = [layer.sent_synops_per_frame or 0.0 for layer in report.layers]
    budget = report.threshold_budget
    assert budget is not None
    assert sum(sent) < budget.remembering.synops_per_frame
    trial = _Trial(np.arange(1.0, len(spec.layers) + 2), np.arange(1.0, len(spec.layers) + 1))
    shares = [sent_operations(spec, trial, plane) for plane in range(len(spec.layers) + 1)]  # type: ignore[arg-type]
    assert sum(shares) == pytest.approx(trial.operations.sum())
    heads = spec.plane_names.index("heads")
    assert shares[spec.plane_names.index("joined")] == trial.operations[heads - 1]


class _Trial:
    def __init__(self, events: np.ndarray, operations: np.ndarray) -> None:  # type: ignore[type-arg]
        self.events, self.operations = events, operations


def test_there_is_a_network_for_netx_and_the_report_has_its_cost(converted: ConvertedGraph) -> None:
    """Messages per frame without each sequence's first frame, of the first five of each."""
    spec, report = converted.points.lava, converted.report
    lowering = report.lowering
    assert isinstance(lowering, LoweringReport)
    assert lowering.ranges is not None
    carried = lowering.ranges.pass_through
    assert carried is not None
    lowered = lower_spec(spec).spec
    carrying = [layer for layer in lowered.layers if layer.n_carried]
    assert carried.layers == len(carrying)
    assert carried.neurons == sum(
        layer.n_carried * math.prod(layer.preactivation_shape[1:]) for layer in carrying
    )
    passed = own = 0
    for run in RUNS:
        frames = torch.from_numpy(run.frames[:5])
        for layer, trace in zip(lowered.layers, pipeline(lowered, frames), strict=True):
            n_own, later = layer.preactivation_shape[0] - layer.n_carried, trace.messages[-4:]
            own += np.count_nonzero(later[:, :n_own])
            passed += np.count_nonzero(later[:, n_own:])
    assert carried.own_messages_per_frame == pytest.approx(own / 20)
    assert carried.messages_per_frame == pytest.approx(passed / 20)
    says_so = any("Sdnn.to_lava() builds" in warning for warning in report.warnings)
    assert says_so == carried.is_costly == (passed > own)
    assert f"send {carried.messages_per_frame:,.0f} messages per frame" in render_html(report)


def test_what_a_chain_cannot_do_is_a_sentence_in_the_report() -> None:
    """A right shift that no weight makes up for, in a layer past which a map is carried."""
    spec = residual_spec(shift=8)
    frames = np.zeros((2, *spec.input_shape), np.uint8)
    lowering = lower_and_measure(spec, [ArrayRun(frames)], headroom=1.25)
    assert lowering.spec is None
    assert isinstance(lowering.report, LoweringRefusal)
    (warning,) = lowering_warnings(lowering.report)
    assert warning.startswith("there is no network.net: layer down: no weight makes up for its")
    assert "; Sdnn.to_lava() builds the network" in warning


def test_a_torch_module_is_converted_run_saved_and_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = ResidualNet().eval()
    network = a2s.from_torch(module, torch.zeros(1, 1, 16, 20), input_scale=1 / 255)
    sdnn = a2s.to_sdnn(network, [run.frames for run in RUNS], budget_error=0.05)
    assert len(sdnn.graph.output_planes) == 2
    frames = RUNS[0].frames
    result = sdnn.run(frames)
    with torch.no_grad():
        maps, scores = module(torch.from_numpy(frames).float() / 255)
    expected = torch.cat([maps.flatten(1), scores], dim=1)[:, :, None, None]
    assert relative_of_outputs(sdnn.graph, result.outputs, expected) < 0.1
    sdnn.save(tmp_path / "saved")
    again = a2s.load(tmp_path / "saved")
    assert torch.equal(again.run(frames).outputs, result.outputs)
    extras = read_extras(tmp_path / "saved" / NETWORK_FILE)
    assert isinstance(extras.unpacking, Unpackings)
    assert [one.shape for one in extras.unpacking.outputs] == [(2, 16, 20), (3, 1, 1)]
