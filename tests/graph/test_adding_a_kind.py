"""A linear operation and its ONNX operator from outside the package, through the whole pipeline.

The operation mixes channels and turns the picture: z[o, x, y] = sum over c of w[o, c] a[c, y, x].
No convolution does that. In ONNX it is an Einsum, which ONNX Runtime computes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from kind_checks import KindCase, check_kind
from lava_backends import lava_backend, slayer_backend
from networks import moving_frames
from onnx_models import ModelBuilder, random_weights, run_onnx

from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.data.sources.registry import SOURCES
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.graph.geometry import Integers, Pair, Shape, check_channels
from ann2sdnn.graph.kinds import Geometry, kind
from ann2sdnn.graph.onnx.operators import Data, Node, Parsed, operator
from ann2sdnn.graph.onnx.operators.linear import linear
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.support.errors import ConversionError, ModelError


@kind("turned-mix")
@dataclass(frozen=True)
class TurnedMix(Geometry):
    """Mixes channels and swaps rows and columns; weight [O, C]."""

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        check_channels(shape[0], weight_shape[1])
        return (weight_shape[0], shape[2], shape[1])

    def linear(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,oc->nowh", x, weight)

    def integer_linear(self, x: Integers, weight: Integers) -> Integers:
        return np.asarray(np.einsum("chw,oc->owh", x, weight), np.int64)

    def patches(
        self, x: torch.Tensor, weight_shape: Sequence[int], every: int, offset: Pair
    ) -> torch.Tensor:
        seen = x.transpose(2, 3)[:, :, offset[0] :: every, offset[1] :: every]
        return seen.flatten(2)[:, None]


@operator("Einsum", "equation")
def turned_mix(node: Node, data: Data) -> Parsed:
    node.require_maps(data)
    if node.attributes["equation"] != b"nchw,oc->nowh":
        raise node.error("only nchw,oc->nowh can be converted")
    return linear(node, data, TurnedMix(), node.constant(1, "weight"))


SHAPE: Shape = (1, 12, 10)


class ToyFrames:
    """One sequence of moving patches, by the name of a folder."""

    name = "toy frames"
    options: tuple[type[SourceOptions], ...] = ()

    def recognises(self, path: Path) -> bool:
        return path.name == "toy"

    def files(self, path: Path) -> tuple[Path, ...]:
        return (path,)

    def open(
        self, path: Path, options: SourceOptions | None, split: Side
    ) -> tuple[ArrayFrames, ...]:
        return (ArrayFrames(moving_frames(24, SHAPE).numpy()),)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        return ()


def model(folder: Path, equation: str = "nchw,oc->nowh") -> Path:
    rng = np.random.default_rng(0)
    builder = ModelBuilder((1, *SHAPE))
    builder.add("Conv", random_weights(rng, 5, 1, 3, 3), pads=(1, 1, 1, 1)).add("Relu")
    builder.add("Einsum", random_weights(rng, 4, 5), equation=equation).add("Relu")
    builder.add("MaxPool", kernel_shape=(2, 2), strides=(2, 2))
    builder.add("Conv", random_weights(rng, 3, 4, 3, 3)).add("Relu")
    return builder.save(folder / "model.onnx")


@pytest.fixture(scope="module", params=["plain", "relays and a budget of operations"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The conversion of the network."""
    place = tmp_path_factory.mktemp("turned")
    options = ConvertOptions(input_scale=1 / 255)
    if request.param != "plain":
        options = ConvertOptions(input_scale=1 / 255, quantise=QuantiseOptions(relays=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "toy", ToyFrames())
        convert(model(place), place / "toy", place / "out", options)
    return place


def test_the_operation_agrees_with_itself() -> None:
    check_kind(KindCase(TurnedMix(), (4, 6, 7), (3, 4)))


def test_the_graph_computes_what_onnx_runtime_does(tmp_path: Path) -> None:
    path = model(tmp_path)
    graph = read_onnx(path)
    assert [layer.geometry.name for layer in graph.layers] == ["conv", "turned-mix", "conv"]
    x = torch.from_numpy(np.random.default_rng(1).random((1, *SHAPE), np.float32))
    found = FloatNetwork(graph)(x)
    np.testing.assert_allclose(found.numpy(), run_onnx(path, x.numpy()), rtol=1e-4, atol=1e-5)


def test_the_operator_says_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\(Einsum\): only nchw,oc->nowh can be converted"):
        read_onnx(model(tmp_path, equation="nchw,oc->nohw"))


def test_the_converted_network_is_close_to_the_ann_and_engine_equals_reference(
    folder: Path,
) -> None:
    spec = read_spec(folder / "out" / "sdnn.h5")
    assert TurnedMix() in [layer.geometry for layer in spec.layers]
    frames = moving_frames(6, SHAPE, seed=5)
    run = Engine(spec).run(frames, keep_messages=True)
    expected = Reference(spec).run(frames, keep_messages=True)
    assert run.messages is not None
    assert expected.messages is not None
    for ours, theirs in zip(run.messages, expected.messages, strict=True):
        assert torch.equal(ours.double(), theirs.double())
    for name in ("events", "synops", "overflows", "oversized"):
        assert torch.equal(getattr(run, name), getattr(expected, name)), name
    ann = FloatNetwork(read_onnx(folder / "model.onnx", input_scale=1 / 255))
    wanted = ann(ann.encode(frames))
    assert float((run.outputs - wanted).norm() / wanted.norm()) < 0.1


def test_the_report_names_it_and_says_that_netx_has_none(folder: Path) -> None:
    report = json.loads((folder / "out" / "report.json").read_text())
    assert "turned-mix" in [layer["op"] for layer in report["layers"]]
    assert "cannot be written as convolutions" in report["lowering"]["refused"]
    assert not (folder / "out" / "network.net").exists()
    assert read_report(folder / "out" / "report.json").layers


@pytest.mark.lava
def test_other_backends_refuse_it_in_a_sentence(folder: Path) -> None:
    from ann2sdnn.sdnn.training.network import TrainableSdnn

    spec = read_spec(folder / "out" / "sdnn.h5")
    with pytest.raises(ConversionError, match=r"^layer n2_Einsum: a turned-mix cannot be written"):
        lower_spec(spec)
    with pytest.raises(ConversionError, match="turned-mix cannot be written as convolutions"):
        lava_backend(spec)
    with pytest.raises(ConversionError, match="slayer has no block for a turned-mix"):
        slayer_backend(network_from_spec(spec))
    with pytest.raises(ConversionError, match="slayer has no block for a turned-mix"):
        TrainableSdnn(spec)
