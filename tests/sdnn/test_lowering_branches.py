"""A network with branches as a chain for netx: what later layers read is carried along."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from branched_networks import (
    branched_graph,
    branched_graphs,
    branched_spec,
    float64_outputs,
)
from branched_specs import convolution, population, residual_spec, small_branched_spec
from damage import accepted, byte_damages, h5_damages
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import ArrayRun
from random_networks import float64_output

from ann2sdnn.convert.report.lowering import lowering_warnings
from ann2sdnn.convert.stages.lower import lowering_report, ranges_report
from ann2sdnn.graph.kinds import TransposedConvolution
from ann2sdnn.graph.layers import INPUT, Graph, Synapse, with_synapses
from ann2sdnn.graph.planes import joined
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.lowering.apart import carried_apart
from ann2sdnn.sdnn.lowering.lower import Unpackings, graph_of_spec, lower, lower_spec
from ann2sdnn.sdnn.lowering.ranges import measure_ranges
from ann2sdnn.sdnn.netx.export import check_legal, stock_legal, write_netx
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.sdnn.netx.input import GROUP
from ann2sdnn.sdnn.reference.reference import Reference, pipeline
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ConversionError


def assert_lowered_equals(graph: Graph) -> None:
    """The chain's outputs, unpacked, are those of the graph, up to float64 rounding."""
    lowered = lower(graph)
    assert lowered.graph.is_chain
    assert all(layer.relu and layer.pool is None for layer in lowered.graph.layers)
    x = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (2, *graph.input_shape)))
    if graph.preprocessing.dtype == "float32":
        x = 2 * x - 1
    expected = joined(float64_outputs(graph, x))
    found = lowered.unpacking(float64_output(lowered.graph, x))
    assert found.shape == expected.shape
    assert torch.allclose(
        found, expected, rtol=0, atol=1e-6 * max(1.0, float(expected.abs().max()))
    )


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_residual_additions_concatenations_and_outputs(n_outputs: int) -> None:
    """Max pooling, strides, a transposed convolution, a layer without ReLU."""
    assert_lowered_equals(branched_graph(n_outputs=n_outputs))


@settings(max_examples=100, deadline=None)
@given(branched_graphs(), st.booleans())
def test_any_graph_is_a_chain_or_is_refused(graph: Graph, signed: bool) -> None:
    if signed:
        graph = replace(graph, preprocessing=Preprocessing(dtype="float32"))
    refusal = refusal_of(graph)
    if refusal is None:
        assert_lowered_equals(graph)
    else:
        assert refusal.startswith("layer ")
        assert graph.is_chain or "Sdnn.to_lava() builds the" in refusal


def refusal_of(graph: Graph) -> str | None:
    try:
        lower(graph)
    except ConversionError as error:
        return str(error)
    return None


def decoded(spec: Spec, frames: torch.Tensor) -> torch.Tensor:
    """The lowered network's outputs in the original's units, as the host decodes its messages."""
    lowered = lower_spec(spec)
    check_legal(lowered)
    messages = Reference(lowered.spec).run(frames, keep_messages=True).messages
    assert messages is not None
    held = torch.cumsum(messages[-1].double(), dim=0).float()
    return lowered.unpacking(held) / torch.from_numpy(spec.output_scale).float()[:, None, None]


def random_frames(spec: Spec, n_frames: int = 4) -> torch.Tensor:
    """Frames that keep most of their pixels from one to the next."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 40, (n_frames, *spec.input_shape))
    keeps = rng.random(values.shape) < 0.6
    for t in range(1, n_frames):
        values[t] = np.where(keeps[t], values[t - 1], values[t])
    if spec.preprocessing.dtype == "float32":
        return torch.from_numpy((values - 20) / 4).float()
    return torch.from_numpy(values.astype(np.uint8))


@settings(max_examples=25, deadline=None)
@given(branched_graphs(all_relu=True))
def test_a_lowered_spec_decodes_to_the_original_exactly(graph: Graph) -> None:
    """Thresholds of 0, not one bit differs."""
    spec = branched_spec(graph)
    # Weights above 128 leave their 9 bits where two synapses read the same value.
    halved = [
        with_synapses(layer, [replace(x, weight=x.weight // 4 * 2) for x in layer.synapses])
        for layer in spec.layers
    ]
    spec = replace(spec, layers=tuple(halved))
    assume(refusal_of(graph_of_spec(spec)) is None)
    assume(not lower_spec(spec).differences)
    frames = random_frames(spec)
    expected = Reference(spec).run(frames)
    assume(int(expected.overflows.sum()) == 0)
    assert torch.equal(decoded(spec, frames), expected.outputs)


@pytest.mark.parametrize("shift", [5, 6, 7])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_carried_messages_pass_whatever_the_thresholds(dtype: str, shift: int) -> None:
    """Every layer is an output, so all that a layer sends is carried to the end. The input has
    values of both signs as float32, and is carried in two halves.
    """
    spec = residual_spec(dtype=dtype, shift=shift)
    spec = replace(spec, output_names=tuple(layer.name for layer in spec.layers))
    frames = random_frames(spec)
    expected = Reference(spec).run(frames)
    assert not expected.overflows.any()
    assert torch.equal(decoded(spec, frames), expected.outputs)
    unthresholded = replace(
        spec, layers=tuple(replace(layer, threshold=0) for layer in spec.layers)
    )
    assert not torch.equal(Reference(unthresholded).run(frames).outputs, expected.outputs)


def test_only_pixels_that_are_read_are_carried() -> None:
    """The stem has 4 channels of 9 x 12 pixels, a coarse pixel of 2 x 2 has 16. The shortcut reads
    one of the four; the input, 2 channels, is carried whole to the end.
    """
    lowered = lower_spec(residual_spec())
    assert [layer.name for layer in lowered.spec.layers] == [
        *("stem", "down", "block", "inner", "sum", "up", "joined")
    ]
    carried = [layer.n_carried for layer in lowered.spec.layers]
    assert carried == [2, 2 * 4 + 4, 2 * 4, 2 * 4 + 6, 2 * 4, 2 * 4, 0]
    full = replace(residual_spec(), output_names=("joined", "stem"))
    assert lower_spec(full).spec.layers[1].n_carried == 2 * 4 + 16


def test_carried_channels_as_populations_of_their_own() -> None:
    for spec in (residual_spec(), small_branched_spec()):
        lowered = lower_spec(spec).spec
        frames = random_frames(spec)
        found, expected = (Reference(one).run(frames) for one in (carried_apart(lowered), lowered))
        assert torch.equal(found.outputs.flatten(1), expected.outputs.flatten(1))
        assert torch.equal(found.events.sum(dim=1), expected.events.sum(dim=1))
    chain = replace(residual_spec(), layers=residual_spec().layers[:2])
    assert carried_apart(chain) is chain


def test_netx_gets_the_largest_threshold_that_lets_carried_messages_pass(tmp_path: Path) -> None:
    """The input enters in steps of 3 message units, which are less than thresholds of 3/64 in
    messages of 1/256: 12. The stem's own messages are as large as its threshold.
    """
    lowered = lower_spec(residual_spec())
    assert lowered.passing[:2] == (3 << 6, 3 << 6)
    assert not stock_legal(lowered)
    write_netx(tmp_path / "a.net", lowered)
    with h5py.File(tmp_path / "a.net") as file:
        mantissas = [file[f"layer/{i}/neuron/vThMant"][()] for i in range(1, 8)]
    assert mantissas == [0, 0, 0, 0, 0, 0, 3]
    extras = read_extras(tmp_path / "a.net")
    assert extras.vth.tolist() == [3 << 8] * 7
    assert extras.carried.tolist() == [layer.n_carried for layer in lowered.spec.layers]
    coarse = replace(residual_spec(), input_gain=12)
    assert stock_legal(lower_spec(coarse))
    assert stock_legal(lower_spec(residual_spec(threshold=0)))


def test_several_outputs_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    lowered = lower_spec(small_branched_spec())
    assert isinstance(lowered.unpacking, Unpackings)
    write_netx(path, lowered)
    assert read_extras(path).unpacking == lowered.unpacking
    own = [one for one in h5_damages(path) if one[0].startswith(GROUP)]
    found = accepted(path, read_extras, byte_damages(path), own)
    # A chain has no carried channels, and whose network it was is written for people.
    allowed = ("ann2sdnn@source_sha256", "ann2sdnn/carried missing")
    assert all(name.startswith(allowed) for name in found)


def test_the_cost_of_carrying_is_measured_and_costly_chains_name_the_other_way() -> None:
    """Against the messages of the reference's pipeline."""
    spec = residual_spec()
    lowered = lower_spec(spec)
    frames = random_frames(spec, 3)
    seen = measure_ranges(lowered.spec, [ArrayRun(frames.numpy(), chunk=2)])
    for layer, trace, one in zip(
        lowered.spec.layers, pipeline(lowered.spec, frames), seen, strict=True
    ):
        n_own = layer.preactivation_shape[0] - layer.n_carried
        # The pipeline's frames end with the answer to the last one; measuring drains all layers.
        assert one.sent == np.count_nonzero(trace.messages[:, :n_own])
        assert one.passed == np.count_nonzero(trace.messages[:, n_own:])
        # Each message that is carried meets one weight.
        assert one.passing_operations >= one.passed
    report = lowering_report(
        spec, lowered, ranges_report(spec, lowered, seen, n_frames=3, n_runs=1)
    )
    assert report.ranges is not None
    carried = report.ranges.pass_through
    assert carried is not None
    assert carried.layers == 6
    assert carried.messages_per_frame == sum(one.passed for one in seen) / 3
    assert carried.is_costly == (sum(x.passed for x in seen) > sum(x.sent for x in seen))
    cheap = carried.model_copy(update={"messages_per_frame": carried.own_messages_per_frame})
    costly = cheap.model_copy(update={"messages_per_frame": 1.5 * cheap.messages_per_frame})
    for passed, is_said in ((cheap, False), (costly, True)):
        ranges = report.ranges.model_copy(update={"pass_through": passed})
        said = " ".join(lowering_warnings(report.model_copy(update={"ranges": ranges})))
        assert ("2.5 times as many in all; Sdnn.to_lava() builds" in said) is is_said


def test_what_a_chain_cannot_do_names_the_other_way() -> None:
    with pytest.raises(ConversionError, match=r"layer down: no weight .* 8 bits .*Sdnn\.to_lava"):
        lower_spec(residual_spec(shift=8))
    rng, image, half = np.random.default_rng(0), (1, 5, 5), (1, 3, 3)
    up = TransposedConvolution(stride=(2, 2), pads=(0, 0, 1, 1))
    upsampling = Synapse(up, np.zeros((1, 1, 2, 2), np.int16), half, "half")
    layers = [
        population(rng, "half", convolution(INPUT, image, 1, stride=2)),
        # Rows of two: the sixth is beyond the image, where a neuron computes something.
        population(rng, "wide", convolution(INPUT, image, 1), upsampling),
        population(rng, "next", convolution("wide", image, 1), convolution(INPUT, image, 1)),
    ]
    spec = Spec(image, 1.0, 3, Grid(2), tuple(layers), "")
    with pytest.raises(
        ConversionError, match=r"layer next: .* of 5 pixels is held in 6.*Sdnn\.to_lava"
    ):
        lower_spec(spec)
    # A layer of single pixels does not read there.
    layers[2] = population(
        rng, "next", convolution("wide", image, 1, 1), convolution(INPUT, image, 1)
    )
    spec = replace(spec, layers=tuple(layers))
    frames = random_frames(spec)
    assert torch.equal(decoded(spec, frames), Reference(spec).run(frames).outputs)
