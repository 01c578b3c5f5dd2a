"""NIR: a spec's graph, its file, the spec read back, and the meaning that docs/nir.md gives it."""

import importlib.util
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from branched_specs import convolution, population, small_branched_spec
from damage import accepted, byte_damages, h5_damages
from networks import MAX_POOL, SUM_POOL, assert_equal_messages, moving_frames, random_spec
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import INPUT
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.nir.importing import check_nir
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError, UsageError

Values = NDArray[Any]
HAS_NIR = importlib.util.find_spec("nir") is not None
needs_nir = pytest.mark.skipif(not HAS_NIR, reason="nir is not installed")
if HAS_NIR:
    import nir

    from ann2sdnn.sdnn.spec.nir.export import to_nir
    from ann2sdnn.sdnn.spec.nir.nodes import SdnnDelta, SdnnSigma
    from ann2sdnn.sdnn.spec.nir.read import from_nir, read_nir


def chain() -> Spec:
    """All that NIR expresses of a chain: pads that differ, dilation, groups, a stride, a sum pool,
    dense layers, a layer without a bias, a threshold, a slash in a name.
    """
    spec = random_spec(threshold=9, dense=True)
    first, dilated, grouped, _, strided, dense, last = spec.layers
    rng = np.random.default_rng(3)
    shape = grouped.output_shape
    weight = (2 * rng.integers(-20, 24, (5, shape[0], 3, 3))).astype(np.int16)
    uneven = Convolution(stride=(1, 1), pads=(0, 1, 2, 1))
    other = replace(
        strided,
        name="a/b",
        geometry=uneven,
        weight=weight,
        input_shape=shape,
        bias=None,
        scale=np.ones(5),
        shift=5,
    )
    flat = int(np.prod(other.output_shape))
    wide = (2 * rng.integers(-20, 24, (7, flat))).astype(np.int16)
    dense = replace(dense, weight=wide, input_shape=other.output_shape)
    return replace(spec, layers=(first, dilated, grouped, other, dense, last))


def branched(**changes: Any) -> Spec:
    """The small branched spec with a sum pool, a dense synapse beside a convolution, and relay."""
    spec = small_branched_spec()
    stem, deep, pooled, joined, values = spec.layers
    pooled = replace(pooled, pool=SUM_POOL)
    rng = np.random.default_rng(5)
    both = population(rng, "both", values.synapses[0], convolution("point", (3, 1, 1), 3, 1))
    point = replace(values, name="point", is_relay=True)
    layers = (stem, deep, pooled, joined, point, both)
    return replace(spec, layers=layers, output_names=("sum", "both"), **changes)


def memoryless(spec: Spec) -> Spec:
    return replace(
        spec,
        layers=tuple(replace(layer, is_stateful=False) for layer in spec.layers),
        input_is_stateful=False,
    )


def coded() -> Spec:
    """Frames of real numbers with a mean, an offset, a size and an input threshold, and thresholds
    finer than a unit of the state.
    """
    rng = np.random.default_rng(2)
    shape = (2, 6, 8)
    layers = (
        population(rng, "one", convolution(INPUT, shape, 3), threshold=37, shift=0),
        population(rng, "two", convolution("one", (3, 6, 8), 2), threshold=3),
    )
    preprocessing = Preprocessing((0.5, 0.25), (2.0, 3.0), (6, 8), "float32")
    return Spec(
        shape,
        0.5,
        77.5,
        Grid(2, 6),
        layers,
        "ab",
        preprocessing=preprocessing,
        input_offset=(78, -3),
        input_threshold=5,
    )


SPECS = {
    "chain": chain,
    "branched": branched,
    "memoryless": lambda: memoryless(branched()),
    "coded": coded,
}


def frames_for(spec: Spec, n_frames: int = 5) -> torch.Tensor:
    frames = moving_frames(n_frames, spec.input_shape) if min(spec.input_shape[1:]) > 8 else None
    if frames is None:
        generator = torch.Generator().manual_seed(4)
        shape = (n_frames, *spec.input_shape)
        frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if spec.preprocessing.dtype == "uint8":
        return frames
    return frames.float() / 40 - 1


@needs_nir
@pytest.mark.parametrize("name", SPECS)
def test_the_spec_of_a_file_has_the_same_integers_and_sends_the_same(
    name: str, tmp_path: Path
) -> None:
    spec = SPECS[name]()
    nir.write(tmp_path / "net.nir", to_nir(spec))
    again = read_nir(tmp_path / "net.nir")
    for before, after in zip(spec.layers, again.layers, strict=True):
        for field in ("name", "relu", "pool", "threshold", "shift", "is_stateful", "is_relay"):
            assert getattr(before, field) == getattr(after, field), (before.name, field)
        np.testing.assert_array_equal(before.scale, after.scale)
        assert (before.bias is None) == (after.bias is None)
        if before.bias is not None and after.bias is not None:
            np.testing.assert_array_equal(before.bias, after.bias)
        for one, other in zip(before.synapses, after.synapses, strict=True):
            geometry, weight = one.geometry.with_symmetric_pads(one.weight)
            assert other.geometry == geometry
            assert other.input_shape == one.input_shape
            np.testing.assert_array_equal(other.weight, weight)
            assert other.weight.dtype == np.int16
    assert again.reads == spec.reads
    assert again.output_planes == spec.output_planes
    for whole in {field.name for field in fields(Spec)} - {"layers", "output_names"}:
        assert getattr(spec, whole) == getattr(again, whole), whole
    assert_equal_messages(Engine(spec), Engine(again), frames_for(spec))


class Interpreter:
    """Runs a graph from its file by docs/nir.md alone, frame by frame, in exact numbers."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._state: dict[str, Values] = {}

    def step(self, levels: Values) -> dict[str, Values]:
        """What every node gives for the input's ``levels``."""
        values: dict[str, Values] = {}
        left = dict(self._graph.nodes)
        while left:
            for name, node in list(left.items()):
                sources = [source for source, target in self._graph.edges if target == name]
                if all(source in values for source in sources):
                    total = sum(values[source] for source in sources) if sources else levels
                    values[name] = self._value(name, node, np.asarray(total))
                    del left[name]
        return values

    def _value(self, name: str, node: Any, x: Values) -> Values:
        if isinstance(node, SdnnSigma):
            before = self._state.get(name, 0) if node.memory else 0
            span = 2 ** (int(node.bits) - 1)
            arrived = x.astype(np.int64).reshape(node.shape)
            self._state[name] = (before + arrived + span) % (2 * span) - span
            z = self._state[name] + (0 if node.bias is None else node.bias[:, None, None])
            return np.maximum(z, 0) if node.rectify else z
        if isinstance(node, SdnnDelta):
            a, shift = x.astype(np.int64), int(node.shift)
            sent = self._state.get(name, 0) if node.memory else 0
            d = a - sent
            rounded = np.where(a < 0, -(-d >> shift), d >> shift)
            reaches = np.abs(d) << int(node.threshold_places) >= int(node.threshold)
            messages = np.where(reaches, rounded, 0)
            self._state[name] = sent + (messages << shift)
            return messages
        return of_nir(node, x)


def size(values: Values) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def of_nir(node: Any, x: Values) -> Values:
    """What a node of NIR's own gives for ``x``."""
    exact = torch.from_numpy(x).double()[None]
    result: Tensor
    if isinstance(node, nir.Conv2d):
        weight = torch.from_numpy(node.weight).double()
        stride, padding, dilation = map(size, (node.stride, node.padding, node.dilation))
        result = F.conv2d(exact, weight, None, stride, padding, dilation, int(node.groups))
        return np.asarray(result[0])
    if isinstance(node, nir.SumPool2d):
        kernel, stride, padding = map(size, (node.kernel_size, node.stride, node.padding))
        return np.asarray(F.avg_pool2d(exact, kernel, stride, padding, divisor_override=1)[0])
    if isinstance(node, nir.Linear):
        return np.asarray(node.weight.astype(np.int64) @ x)
    return x.ravel() if isinstance(node, nir.Flatten) else x


@needs_nir
@pytest.mark.parametrize("name", SPECS)
def test_the_documented_nodes_give_the_messages_of_the_engine(name: str, tmp_path: Path) -> None:
    spec = SPECS[name]()
    nir.write(tmp_path / "net.nir", to_nir(spec))
    graph = nir.read(tmp_path / "net.nir", type_check=False)
    frames = frames_for(spec)
    wanted = Engine(spec).run(frames, keep_messages=True).messages
    assert wanted is not None
    interpreter = Interpreter(graph)
    deltas = sorted(
        (node.metadata["layer"], name)
        for name, node in graph.nodes.items()
        if isinstance(node, SdnnDelta)
    )
    n_sent = 0
    for frame, levels in enumerate(spec.input_code.levels(frames).numpy()):
        values = interpreter.step(levels.astype(np.int64))
        for (_, delta), messages in zip(deltas, wanted, strict=True):
            units = messages[frame].double().numpy() / spec.grid.message_step
            np.testing.assert_array_equal(values[delta].reshape(units.shape), units)
            n_sent += np.count_nonzero(units)
    assert n_sent > 300


@needs_nir
def test_a_graph_without_groups_passes_the_type_check_of_nir(tmp_path: Path) -> None:
    nir.write(tmp_path / "net.nir", to_nir(coded()))
    assert set(nir.read(tmp_path / "net.nir").nodes) == {
        "input", "input_delta", "00_one_0", "00_one_sigma", "00_one_delta", "01_two_0",
        "01_two_sigma", "01_two_delta", "output_0",
    }  # fmt: skip


@needs_nir
def test_what_nir_cannot_express_is_said_with_the_layers_name() -> None:
    with pytest.raises(ModelError, match=r"layer layer4: NIR has no node for .*conv-t"):
        to_nir(random_spec())
    spec = small_branched_spec()
    with pytest.raises(ModelError, match="layer pooled: NIR has no node for max pooling"):
        to_nir(spec)
    pool = replace(SUM_POOL, kernel=(3, 3), pads=(0, 0, 1, 1))
    pooled = replace(spec.layers[0], pool=pool)
    with pytest.raises(ModelError, match="layer stem: pooling with pads"):
        to_nir(replace(spec, layers=(pooled,), output_names=()))
    assert MAX_POOL.kind == "max"


@needs_nir
def test_other_and_changed_graphs_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    with pytest.raises(ModelError, match="does not exist"):
        read_nir(path)
    path.write_text("text")
    with pytest.raises(ModelError, match="is no file of NIR"):
        read_nir(path)
    other = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3))))
    with pytest.raises(ModelError, match="ann2sdnn did not make"):
        from_nir(other)
    changes: tuple[tuple[Callable[[Any], object], str], ...] = (
        (
            lambda nodes: vars(nodes["00_one_delta"]).update(neuron="stock"),
            "one_delta at neuron",
        ),
        (lambda nodes: vars(nodes["00_one_sigma"]).update(bits=16), "00_one_sigma at bits"),
        (
            lambda nodes: vars(nodes["01_two_delta"]).update(threshold=5),
            "two_delta at threshold",
        ),
        (lambda nodes: nodes["01_two_0"].bias.fill(1), "01_two_0 at bias"),
        (lambda nodes: nodes["01_two_0"].weight.fill(3), "no even integer"),
        (lambda nodes: nodes["01_two_sigma"].bias.fill(1), "01_two_sigma at bias"),
        (lambda nodes: nodes.pop("00_one_0"), "is damaged"),
    )
    for change, message in changes:
        graph = to_nir(coded())
        change(graph.nodes)
        with pytest.raises(ModelError, match=message):
            from_nir(graph)


@needs_nir
@pytest.mark.slow
def test_damage_of_a_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    nir.write(path, to_nir(coded()))
    assert accepted(path, read_nir, byte_damages(path), h5_damages(path)) == {
        *(f"node/metadata/input_{name} missing" for name in ("mean", "std", "offset", "resize")),
        *(f"node/nodes/{layer}_sigma/bias missing" for layer in ("00_one", "01_two")),
        *(f"version {damage}" for damage in ("a group", "missing", "text")),
        "node/metadata/source_sha256 text",
    }


def test_a_missing_package_is_a_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "ann2sdnn\[nir\]"'):
        check_nir()
