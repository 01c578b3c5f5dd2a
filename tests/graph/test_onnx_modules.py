"""Messages name torch's module: in files of both exporters, and where a module cannot be run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import StringStringEntryProto
from onnx_models import model_of, random_weights
from onnx_reading import KERNEL, node, refused
from torch import Tensor, nn

import ann2sdnn as a2s
from ann2sdnn.support.errors import ModelError


class Block(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 2, 3)
        self.act = activation
        self.conv2 = nn.Conv2d(2, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.act(self.conv1(x)))
        return out


class Net(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.layer3 = nn.Sequential(Block(nn.ReLU()), Block(activation))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer3(x)
        return out


FRAMES = np.random.default_rng(0).integers(0, 256, (4, 2, 12, 12)).astype(np.uint8)


@pytest.mark.parametrize(
    ("activation", "sentence"),
    [
        (nn.Tanh(), r"\(Tanh\) in module layer3\.1\.act: .*train with ReLU"),
        (nn.GELU(), r"in module layer3\.1\.act.* such as SiLU, GELU .*train with ReLU"),
        (nn.SiLU(), r"in module layer3\.1\.act.* such as SiLU, GELU .*train with ReLU"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), r"in module layer3\.1\.act: mode = linear"),
        (nn.GroupNorm(1, 2), r"\(InstanceNormalization\) in module layer3\.1\.act: .*BatchNorm2d"),
    ],
)
def test_what_cannot_be_converted_is_named_by_its_module(
    activation: nn.Module, sentence: str
) -> None:
    network = a2s.from_torch(Net(activation), torch.zeros(1, 2, 12, 12))
    with pytest.raises(ModelError, match=sentence):
        a2s.to_sdnn(network, FRAMES)


def test_newer_torch_keeps_modules_in_the_metadata(tmp_path: Path) -> None:
    """Also where onnx's converter, which drops them, has to change the opset."""
    nodes = [
        node("Conv", ["x", "w"], ["conv2d"], name="node_conv2d"),
        node("Gelu", ["conv2d"], ["gelu"], name="node_gelu"),
        node("Conv", ["gelu", "v"], ["y"], name="node_conv2d_1"),
    ]
    scopes = "['', 'layer3', 'layer3.0', 'layer3.0.act', 'gelu']"
    nodes[1].metadata_props.append(
        StringStringEntryProto(key="pkg.torch.onnx.name_scopes", value=scopes)
    )
    constants = {"w": KERNEL, "v": random_weights(np.random.default_rng(0), 2, 3, 1, 1)}
    for opset in (20, 23):
        model = model_of(nodes, (1, 2, 6, 7), constants, opset=opset)
        refused(model, tmp_path, r"node node_gelu \(Gelu\) in module layer3\.0\.act: ")


def test_a_submodule_that_does_not_take_the_example_is_named() -> None:
    module = Net(nn.ReLU())
    module.layer3[1].conv2 = nn.Conv2d(3, 2, 3)
    module.layer3[0].eval()
    with pytest.raises(ModelError, match=r"its submodule layer3\.1\.conv2 \(Conv2d\) fails with"):
        a2s.from_torch(module, torch.zeros(1, 2, 12, 12))
    # The module is left as it was, without hooks.
    assert module.training
    assert not module.layer3[0].training
    assert not any(one._forward_pre_hooks for one in module.modules())


def test_what_torch_cannot_export_is_a_sentence() -> None:
    class Singular(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            u: Tensor = torch.linalg.svd(x)[0]
            return u

    with pytest.raises(ModelError, match=r"cannot export the module Singular to ONNX: .*svd"):
        a2s.from_torch(Singular(), torch.zeros(1, 1, 4, 4))


def test_a_signal_and_its_sdnn() -> None:
    """A torch network of a signal [N, C, L], from module to messages; frames have one row."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(2, 4, 5, stride=2),
        nn.BatchNorm1d(4),
        nn.ReLU6(),
        nn.MaxPool1d(2),
        nn.Conv1d(4, 3, 3),
        nn.LeakyReLU(0.1),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(3, 4),
    )
    frames = np.random.default_rng(1).integers(0, 256, (12, 2, 1, 32)).astype(np.uint8)
    file = a2s.from_torch(net, torch.zeros(1, 2, 32), input_scale=1 / 255)
    sdnn = a2s.to_sdnn(file, frames, budget_error=0.02)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(frames[:, :, 0]) / 255)
    found = sdnn.run(frames).outputs.reshape(expected.shape)
    assert float((found - expected).norm() / expected.norm()) < 0.05
