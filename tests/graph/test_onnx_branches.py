"""Networks with branches as torch exports them: residual blocks, U-Nets, heads, tails behind them.

Reading compares every layer with ONNX Runtime; these tests say which layers there are.
"""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_models import model_of, random_weights
from onnx_reading import KERNEL, X, node, read, refused
from torch import Tensor, nn

from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.errors import ModelError


class Block(nn.Module):
    """A residual block, as in a ResNet: with a stride, the shortcut is a 1x1 convolution."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = None
        if stride > 1 or n_in != n_out:
            convolution = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        out: Tensor = F.relu(y + (x if self.shortcut is None else self.shortcut(x)))
        return out


class Inverted(nn.Module):
    """An inverted residual, as in a MobileNetV2: ReLU6, and no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, wide, 1),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, 1, 1, groups=wide),
            nn.ReLU6(),
            nn.Conv2d(wide, channels, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class PreActivation(nn.Module):
    """Batch normalisation and ReLU before the convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv(F.relu(self.bn(x)))
        return out


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(2, 6, 3, 1, 1)
        self.down2 = nn.Conv2d(6, 8, 3, 1, 1)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.join = nn.Conv2d(12, 5, 3, 1, 1)
        self.nearest = nn.Conv2d(13, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.down1(x))
        second = F.relu(self.down2(F.max_pool2d(first, 2)))
        joined = F.relu(self.join(torch.cat([self.up(second), first], 1)))
        larger = F.interpolate(second, scale_factor=2, mode="nearest")
        out: Tensor = self.nearest(torch.cat([joined, larger], 1))
        return out


class Dense(nn.Module):
    """Layers that read all before them, normalised again each time, as in a DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, 1, 1)
        self.bns = nn.ModuleList([nn.BatchNorm2d(4 + 3 * i) for i in range(3)])
        self.convs = nn.ModuleList([nn.Conv2d(4 + 3 * i, 3, 3, 1, 1) for i in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.stem(x)]
        for bn, conv in zip(self.bns, self.convs, strict=True):
            maps.append(conv(F.relu(bn(torch.cat(maps, 1)))))
        return torch.cat(maps, 1)


class Heads(nn.Module):
    """A backbone, and two heads at different depths."""

    def __init__(self, *, tails: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, 2, 1)
        self.more = nn.Conv2d(6, 8, 3, 2, 1)
        self.boxes = nn.ModuleList([nn.Conv2d(6, 8, 3, 1, 1), nn.Conv2d(8, 8, 1)])
        self.tails = tails

    def forward(self, x: Tensor) -> Any:
        first = F.relu(self.stem(x))
        second = F.relu(self.more(first))
        maps = [head(one) for head, one in zip(self.boxes, (first, second), strict=True)]
        if not self.tails:
            return tuple(maps)
        boxes = torch.cat([one.permute(0, 2, 3, 1).reshape(1, -1, 4) for one in maps], 1)
        return F.softmax(boxes[..., :2], 2), boxes


def exported(module: nn.Module, folder: Path, shape: Sequence[int] = (1, 2, 16, 12)) -> Graph:
    torch.manual_seed(0)
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            nn.init.uniform_(one.weight, 0.5, 1.5)
            nn.init.normal_(one.bias, 0, 0.3)
            assert one.running_var is not None
            nn.init.uniform_(one.running_var, 0.5, 2)
    buffer = io.BytesIO()
    options: dict[str, Any] = {} if torch.__version__ < "2.5" else {"dynamo": False}
    torch.onnx.export(module.eval(), (torch.zeros(*shape),), buffer, **options)
    path = folder / "model.onnx"
    path.write_bytes(buffer.getvalue())
    return read_onnx(path)


def assert_same(module: nn.Module, graph: Graph, shape: Sequence[int] = (1, 2, 16, 12)) -> None:
    x = torch.rand(*shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = module.eval()(x)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    expected = torch.cat([one.flatten(1) for one in outputs], 1)
    found = FloatNetwork(graph)(x).flatten(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_residual_network(tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, 1, 1), nn.ReLU(), Block(4, 4), Block(4, 6, 2), nn.MaxPool2d(2)
    )
    graph = exported(module, tmp_path)
    assert_same(module, graph)
    # No population for a shortcut, none for the addition.
    assert len(graph.layers) == 5
    assert graph.reads == ((0,), (1,), (2, 1), (3,), (4, 3))
    identity = graph.layers[2].synapses[1]
    assert identity.weight.shape == (4, 1, 1, 1)
    assert (identity.weight == 1).all()
    assert graph.layers[4].synapses[1].geometry.stride == (2, 2)  # type: ignore[attr-defined]
    assert graph.layers[4].pool is not None


def test_inverted_residuals(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), Inverted(4), Inverted(4))
    graph = exported(module, tmp_path)
    assert_same(module, graph)
    assert len(graph.layers) == 7
    assert graph.reads[3] == (3, 1)


def test_activations_before_the_convolutions(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3, 1, 1), PreActivation(4), PreActivation(4))
    graph = exported(module, tmp_path)
    assert_same(module, graph)
    # The stream of sums, and what is normalised and cut from it.
    assert len(graph.layers) == 5


def test_a_u_net(tmp_path: Path) -> None:
    module = UNet()
    graph = exported(module, tmp_path)
    assert_same(module, graph)
    join = next(layer for layer in graph.layers if len(layer.synapses) == 2)
    assert [synapse.weight.shape for synapse in join.synapses] == [(5, 6, 3, 3), (5, 6, 3, 3)]


def test_a_dense_network(tmp_path: Path) -> None:
    module = Dense()
    graph = exported(module, tmp_path)
    assert_same(module, graph)
    assert max(len(layer.synapses) for layer in graph.layers) == 4


def test_several_outputs(tmp_path: Path) -> None:
    module = Heads()
    graph = exported(module, tmp_path)
    assert_same(module, graph)
    assert graph.output_shapes == ((8, 8, 6), (8, 4, 3))
    assert len(graph.held) == 2
    assert graph.notes == ()


def test_heads_that_the_host_joins(tmp_path: Path) -> None:
    module = Heads(tails=True)
    graph = exported(module, tmp_path)
    assert graph.output_shapes == ((8, 8, 6), (8, 4, 3))
    (note,) = graph.notes
    assert "the SDNN ends with the tensors" in note
    assert "Reshape, Concat" in note


def test_an_output_that_the_network_reads_too(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "v"], ["y"]),
    ]
    constants = {"w": KERNEL, "v": np.ones((2, 3, 1, 1), np.float32)}
    graph = read(model_of(nodes, (1, 2, 6, 7), constants, outputs=["y", "a"]), tmp_path)
    # The ReLU of a tensor that is an output itself is a population of its own.
    assert graph.output_planes == (3, 1)
    assert [layer.relu for layer in graph.layers] == [False, True, False]


def test_a_tensor_added_to_itself(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Add", ["b", "b"], ["y"]),
    ]
    graph = read(model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}), tmp_path)
    (synapse,) = graph.layers[1].synapses
    assert (synapse.weight == 2).all()


def test_a_difference(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Conv", ["x", "v"], ["b"]),
        node("Sub", ["a", "b"], ["c"]),
        node("Relu", ["c"], ["y"]),
    ]
    model = model_of(
        nodes,
        (1, 2, 6, 7),
        {"w": KERNEL, "v": random_weights(np.random.default_rng(3), 3, 2, 3, 3)},
    )
    graph = read(model, tmp_path)
    (layer,) = graph.layers
    # Two convolutions of one tensor, alike but for their weights, are one.
    assert graph.reads == ((0,),)
    assert layer.relu
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = FloatNetwork(graph)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, session.run(None, {"x": X})[0], atol=1e-5)


def test_depthwise_convolutions_of_a_concatenation(tmp_path: Path) -> None:
    """Groups may reach across the parts, so the concatenation is a population."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["x", "v"], ["c"]),
        node("Concat", ["b", "c"], ["d"], axis=1),
        node("Conv", ["d", "k"], ["y"], group=6),
    ]
    rng = np.random.default_rng(4)
    constants = {
        "w": KERNEL,
        "v": random_weights(rng, 3, 2, 3, 3),
        "k": random_weights(rng, 6, 1, 2, 2),
    }
    graph = read(model_of(nodes, (1, 2, 6, 7), constants), tmp_path)
    assert len(graph.layers) == 4
    assert len(graph.layers[2].synapses) == 2
    assert graph.layers[2].output_shape[0] == 6


def test_channels_last_is_joined_along_the_last_axis(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1]),
        node("Relu", ["b"], ["r"]),
        node("Concat", ["b", "r"], ["d"], axis=3),
        node("Transpose", ["d"], ["e"], perm=[0, 3, 1, 2]),
        node("Conv", ["e", "k"], ["y"]),
    ]
    constants = {"w": KERNEL, "k": random_weights(np.random.default_rng(4), 2, 6, 2, 2)}
    graph = read(model_of(nodes, (1, 2, 6, 7), constants), tmp_path)
    assert len(graph.layers[-1].synapses) == 2


def test_rows_are_not_joined(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="c"),
        node("Relu", ["a"], ["b"], name="r"),
        node("Concat", ["a", "b"], ["d"], name="stack", axis=2),
        node("Conv", ["d", "k"], ["y"], name="e"),
    ]
    constants = {"w": KERNEL, "k": random_weights(np.random.default_rng(4), 2, 3, 2, 2)}
    model = model_of(nodes, (1, 2, 6, 7), constants)
    refused(model, tmp_path, r"node stack \(Concat\): it joins .* along axis 2; only channels")


def test_a_tail_that_reads_the_input_itself_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="c"),
        node("GlobalAveragePool", ["a"], ["b"], name="p"),
        node("ReduceSum", ["x"], ["s"], name="s", keepdims=1),
        node("Mul", ["b", "s"], ["y"], name="m"),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL})
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, list("nchw"))
    )
    refused(model, tmp_path, r"node s \(ReduceSum\): a sum over the axes all")


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu"])
def test_a_shared_tensor_keeps_its_values(activation: str, tmp_path: Path) -> None:
    """What one reader does to a tensor must not change what another one reads."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node(activation, ["a"], ["b"]),
        node("Mul", ["b", "s"], ["c"]),
        node("MaxPool", ["b"], ["d"], kernel_shape=[2, 2], strides=[1, 1]),
        node("MaxPool", ["c"], ["e"], kernel_shape=[2, 2], strides=[1, 1]),
        node("Add", ["d", "e"], ["y"]),
    ]
    constants = {"w": KERNEL, "s": np.array([2, -1, 0.5], np.float32).reshape(3, 1, 1)}
    model = model_of(nodes, (1, 2, 6, 7), constants)
    graph = read(model, tmp_path)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = FloatNetwork(graph)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, session.run(None, {"x": X})[0], atol=1e-5)


@st.composite
def models(draw: st.DrawFn) -> tuple[Any, int]:
    """Random operators on random tensors before them; what nothing reads is an output."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes: dict[str, tuple[int, int, int]] = {"x": (2, 6, 7)}
    nodes: list[Any] = []
    constants: dict[str, Any] = {}

    def add(operator: str, inputs: list[str], shape: tuple[int, int, int], **more: Any) -> None:
        name = f"t{len(nodes)}"
        nodes.append(node(operator, inputs, [name], name=f"n{len(nodes)}", **more))
        shapes[name] = shape

    for index in range(draw(st.integers(3, 9))):
        name = draw(st.sampled_from(sorted(shapes)))
        channels, height, width = shapes[name]
        alike = [one for one, shape in shapes.items() if shape == shapes[name]]
        same_size = [one for one, shape in shapes.items() if shape[1:] == (height, width)]
        narrow = width == 1  # nothing left to pool
        operator = draw(
            st.sampled_from([one for one in OPERATORS if one != "MaxPool" or not narrow])
        )
        if operator == "Conv":
            outs, kernel = draw(st.integers(1, 4)), draw(st.sampled_from([1, 3]))
            constants[f"w{index}"] = random_weights(rng, outs, channels, kernel, kernel)
            constants[f"b{index}"] = 0.2 * random_weights(rng, outs)
            pads = [kernel // 2] * 4
            add("Conv", [name, f"w{index}", f"b{index}"], (outs, height, width), pads=pads)
        elif operator == "Add":
            add("Add", [name, draw(st.sampled_from(alike))], shapes[name])
        elif operator == "Concat":
            other = draw(st.sampled_from(same_size))
            total = channels + shapes[other][0]
            add("Concat", [name, other], (total, height, width), axis=1)
        elif operator == "MaxPool":
            add("MaxPool", [name], (channels, height, width - 1), kernel_shape=[1, 2])
        elif operator == "Mul":
            constants[f"s{index}"] = rng.standard_normal((channels, 1, 1)).astype(np.float32)
            add("Mul", [name, f"s{index}"], shapes[name])
        elif operator == "Clip":
            constants["low"], constants["high"] = np.float32(0), np.float32(0.7)
            add("Clip", [name, "low", "high"], shapes[name])
        else:
            add(operator, [name], shapes[name])
    add("Conv", [f"t{len(nodes) - 1}", "last"], (1, *shapes[f"t{len(nodes) - 1}"][1:]))
    constants["last"] = random_weights(rng, 1, shapes[f"t{len(nodes) - 2}"][0], 1, 1)
    read_names = {name for one in nodes for name in one.input}
    outputs = [one.output[0] for one in nodes if one.output[0] not in read_names]
    return model_of(nodes, (1, 2, 6, 7), constants, outputs=outputs), len(outputs)


OPERATORS = ["Conv", "Conv", "Add", "Add", "Concat", "Relu", "Relu", "MaxPool", "Mul", "Clip"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_random_networks_answer_as_in_onnx_runtime(drawn: tuple[Any, int]) -> None:
    model, n_outputs = drawn
    with tempfile.TemporaryDirectory() as folder:
        try:
            graph = read(model, Path(folder))
        except ModelError as error:
            # An output that is the input itself, as after a ReLU of pixels, is no network.
            assert "before any layer" in str(error)  # noqa: PT017
            return
    assert len(graph.held) == n_outputs
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = [one.reshape(1, -1) for one in session.run(None, {"x": X})]
    found = FloatNetwork(graph)(torch.from_numpy(X)).flatten(1).numpy()
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-3, atol=1e-3)
