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
    identity_synapse,
)
from branched_specs import convolution, population, residual_spec, small_branched_spec
from damage import accepted, byte_damages, h5_damages
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import ArrayRun
from random_networks import float64_output

from ann2sdnn.convert.report.lowering import lowering_warnings
from ann2sdnn.convert.stages.lower import lowering_report, ranges_report
from ann2sdnn.graph.kinds import Convolution, Dense, TransposedConvolution
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
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
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
        remedies = ("Sdnn.to_lava() builds the", "choose a size of the network's input")
        assert graph.is_chain or any(remedy in refusal for remedy in remedies)


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


@settings(max_examples=60, deadline=None)
@given(branched_graphs(), st.sampled_from(["uint8", "float32"]), st.sampled_from([0, 0, 2]))
def test_a_lowered_spec_decodes_to_the_original_exactly(
    graph: Graph, dtype: str, threshold: int
) -> None:
    """With and without ReLUs, on inputs with and without signs: not one bit differs."""
    spec = branched_spec(graph, threshold=threshold)
    # Weights above 128 leave their 9 bits where two synapses read the same value.
    halved = [
        with_synapses(layer, [replace(x, weight=x.weight // 4 * 2) for x in layer.synapses])
        for layer in spec.layers
    ]
    preprocessing = Preprocessing(dtype=dtype)  # type: ignore[arg-type]
    spec = replace(spec, layers=tuple(halved), preprocessing=preprocessing)
    assume(refusal_of(graph_of_spec(spec)) is None)
    assume(not lower_spec(spec).differences)
    frames = random_frames(spec)
    expected = Reference(spec).run(frames)
    assume(int(expected.overflows.sum()) == 0)
    assert torch.equal(decoded(spec, frames), expected.outputs)


@pytest.mark.parametrize("deep_has_relu", [False, True])
def test_differences_follow_signs_along_every_path(deep_has_relu: bool) -> None:
    """A sum without a ReLU, of positive weights and biases: signs come from its second source."""
    rng, full = np.random.default_rng(0), (2, 6, 8)
    total = population(
        rng, "sum", identity_synapse(full, "stem"), identity_synapse(full, "deep"), relu=False
    )
    ones = [replace(x, weight=np.full_like(x.weight, 64)) for x in total.synapses]
    total = with_synapses(total, ones, bias=np.ones(2, np.int32))
    layers = (
        population(rng, "stem", convolution(INPUT, (1, 6, 8), 2)),
        population(rng, "deep", convolution("stem", full, 2), relu=deep_has_relu, threshold=0),
        total,
    )
    differences = lower_spec(Spec((1, 6, 8), 1.0, 3, Grid(2), layers, "")).differences
    assert [one.split(",")[0] for one in differences] == (
        [] if deep_has_relu else ["sum: without a ReLU"]
    )


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
    without = replace(spec, layers=unthresholded(spec))
    assert not torch.equal(Reference(without).run(frames).outputs, expected.outputs)


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
    messages of 1/256: 12. With a threshold of 0 in the file, the stem's may be as small as 1.
    """
    lowered = lower_spec(residual_spec())
    assert lowered.passing[:2] == (3 << 6, 1 << 6)
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


@pytest.mark.parametrize(
    "spec",
    [replace(residual_spec(), input_gain=12), small_branched_spec()],
    ids=["thresholds as they were", "smaller ones"],
)
def test_netx_alone_holds_no_carried_message_back(spec: Spec, tmp_path: Path) -> None:
    """With the file's thresholds, carried channels send what they would send with 0."""
    lowered = lower_spec(spec)
    write_netx(tmp_path / "a.net", lowered)
    with h5py.File(tmp_path / "a.net") as file:
        blocks = [block for _, block in sorted(file["layer"].items(), key=lambda x: int(x[0]))]
        mantissas = [int(block["neuron/vThMant"][()]) for block in blocks if "neuron" in block]
    stock = [
        replace(layer, threshold=mantissa)
        for layer, mantissa in zip(lowered.spec.layers, mantissas, strict=True)
    ]
    frames = random_frames(spec, 8)
    freely = run_layers(lowered.spec, stock, frames)
    found = run_layers(lowered.spec, [replace(layer, n_carried=0) for layer in stock], frames)
    assert all(map(torch.equal, found, freely))


def run_layers(spec: Spec, layers: list[SpecLayer], frames: torch.Tensor) -> list[torch.Tensor]:
    """The messages of all layers of ``spec`` with these."""
    result = Reference(replace(spec, layers=tuple(layers))).run(frames, keep_messages=True)
    assert result.messages is not None
    return list(result.messages)


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
    """Against the messages of the reference's pipeline, first frames left out."""
    spec = residual_spec()
    lowered = lower_spec(spec)
    frames = random_frames(spec, 3)
    seen = measure_ranges(lowered.spec, [ArrayRun(frames.numpy(), chunk=2)])
    for layer, trace, one in zip(
        lowered.spec.layers, pipeline(lowered.spec, frames), seen, strict=True
    ):
        n_own = layer.preactivation_shape[0] - layer.n_carried
        # Of the second and the third frame; the steps before the first are as many as layers.
        later = trace.messages[-2:]
        assert one.sent == np.count_nonzero(later[:, :n_own]) / 2
        assert one.passed == np.count_nonzero(later[:, n_own:]) / 2
        # Each message that is carried meets one weight.
        assert one.passing_operations == one.passed
    report = lowering_report(
        spec, lowered, ranges_report(spec, lowered, seen, n_frames=3, n_runs=1)
    )
    assert report.ranges is not None
    carried = report.ranges.pass_through
    assert carried is not None
    assert carried.layers == 6
    assert carried.messages_per_frame == sum(one.passed for one in seen)
    assert carried.is_costly == (sum(x.passed for x in seen) > sum(x.sent for x in seen))
    cheap = carried.model_copy(update={"messages_per_frame": carried.own_messages_per_frame})
    costly = cheap.model_copy(update={"messages_per_frame": 1.5 * cheap.messages_per_frame})
    for passed, is_said in ((cheap, False), (costly, True)):
        ranges = report.ranges.model_copy(update={"pass_through": passed})
        said = " ".join(lowering_warnings(report.model_copy(update={"ranges": ranges})))
        assert ("2.5 times as many in all; Sdnn.to_lava() builds" in said) is is_said


def test_layers_of_one_pixel_come_last() -> None:
    """The dense layer in front of the last map; with the names in the order of the layers."""
    spec = small_branched_spec()
    *first, maps, values = spec.layers
    moved = replace(spec, layers=(*first, values, maps), output_names=("values", "sum"))
    lowered, usual = lower_spec(moved), lower_spec(spec)
    assert [layer.name for layer in lowered.spec.layers][-2:] == ["sum", "values"]
    for one, other in zip(lowered.spec.layers, usual.spec.layers, strict=True):
        assert np.array_equal(one.weight, other.weight)
    frames, exact = random_frames(spec), replace(moved, layers=unthresholded(moved))
    assert torch.equal(decoded(exact, frames), Reference(exact).run(frames).outputs)


def test_nothing_is_computed_beside_a_result_of_one_pixel() -> None:
    """A kernel as large as the map, with a stride of 1, beside a map that is carried."""
    spec = small_branched_spec()
    *first, maps, values = spec.layers
    whole = values.weight.reshape(3, 2, 3, 4)
    values = replace(values, geometry=Convolution(), weight=whole, source="pooled", relu=False)
    spec = replace(spec, layers=(*first, maps, values))
    spec = replace(spec, layers=unthresholded(spec))
    last = lower_spec(spec).spec.layers[-1]
    assert last.preactivation_shape == (2 * 3 + 2 * 6 * 8, 1, 1)
    frames = random_frames(spec)
    assert torch.equal(decoded(spec, frames), Reference(spec).run(frames).outputs)


def unthresholded(spec: Spec) -> tuple[SpecLayer, ...]:
    return tuple(replace(layer, threshold=0) for layer in spec.layers)


@pytest.mark.parametrize("reads_flat", [False, True])
def test_maps_that_are_too_large_to_be_carried_past_one_pixel_are_refused(reads_flat: bool) -> None:
    rng, image = np.random.default_rng(0), (1, 100, 100)
    values = convolution("maps", image, 3, 1)
    weight = np.zeros((3, 1, 100, 100), np.int16)
    values = replace(values, geometry=Convolution(), weight=weight)
    if reads_flat:
        values = replace(values, geometry=Dense(), weight=weight.reshape(3, -1))
    layers = (
        population(rng, "maps", convolution(INPUT, image, 1)),
        population(rng, "values", values),
    )
    spec = Spec(image, 1.0, 3, Grid(2), layers, "", output_names=("maps", "values"))
    with pytest.raises(
        ConversionError, match=r"layer values: .* it has 10,003 x .* weights, more .*Sdnn\.to_lava"
    ):
        lower_spec(spec)


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
