"""Networks that are no pose networks: trained here, exported by torch, converted like any other."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from lava_backends import slayer_backend
from networks import assert_equal_messages
from onnx_models import ModelBuilder
from torch import Tensor, nn
from trained_networks import (
    SIZE,
    Stripes,
    export,
    stripes,
    train_classifier,
    train_u_network,
    write_stripes,
)

from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError, UsageError

LENGTH = 4  # frames of a sequence
CLASSIFIER, U_NETWORK = "classifier", "u-network"
TARGETS = {
    "stock": QuantiseOptions(),
    "relay": QuantiseOptions(relays=1),
    "shifts": QuantiseOptions(shifts="per-layer"),
}


@dataclass(frozen=True, eq=False)
class Scene:
    """Trained networks with their files, a folder of recordings, and frames never seen before."""

    networks: dict[str, nn.Sequential]
    folder: Path
    unseen: Stripes

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.onnx"

    def expected(self, name: str) -> Tensor:
        """What torch answers to the unseen frames: [N, 4, H, W]."""
        with torch.no_grad():
            answer: Tensor = self.networks[name](self.unseen.inputs())
        return answer.reshape(len(answer), 4, *(answer.shape[2:] or (1, 1)))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    training = stripes(n_sequences=200, length=1, seed=1)
    networks = {
        CLASSIFIER: train_classifier(training, steps=120),
        U_NETWORK: train_u_network(training, steps=50),
    }
    scene = Scene(networks, folder, stripes(n_sequences=12, length=LENGTH, seed=2))
    for name, network in networks.items():
        export(network, scene.file(name))
    (folder / "data").mkdir()
    write_stripes(folder / "data", stripes(n_sequences=60, length=1, seed=3), length=1)
    return scene


@pytest.fixture(scope="module", params=[CLASSIFIER, U_NETWORK])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def options(**more: object) -> ConvertOptions:
    return ConvertOptions(input_scale=1 / 255, split="all", source=Dhp19Options((0,)), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def converted(scene: Scene, name: str, target: str) -> Path:
    out = scene.folder / f"{name}-{target}"
    convert(scene.file(name), scene.folder / "data", out, options(quantise=TARGETS[target]))
    return out


def answers(spec: Spec, scene: Scene) -> Tensor:
    """To the unseen frames, each sequence from the beginning; nothing may leave its bits."""
    engine = Engine(spec)
    outputs = []
    for sequence in torch.split(scene.unseen.frames, LENGTH):
        engine.reset()
        run = engine.run(sequence)
        assert not run.overflows.any()
        assert not run.oversized.any()
        outputs.append(run.outputs)
    return torch.cat(outputs)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def classes(outputs: Tensor) -> Tensor:
    return outputs.amax(dim=(2, 3)).argmax(dim=1)


def test_the_networks_have_learned_their_task(scene: Scene, name: str) -> None:
    """Otherwise the rest would compare noise with noise."""
    right = classes(scene.expected(name)) == scene.unseen.kinds
    assert float(right.float().mean()) > 0.9


def test_the_sdnn_answers_as_the_ann_does(
    scene: Scene, name: str, target: str, converted: Path
) -> None:
    """On frames that calibration never saw, as converted and as lowered for netx."""
    expected = scene.expected(name)
    # An output scale wrong by 12% is more (0.10), and so is a lost bias of the U-shaped network.
    largest = 0.025 if target == "shifts" else 0.07
    spec = read_spec(converted / "sdnn.h5")
    lowered = lower_spec(spec)
    for found in (answers(spec, scene), lowered.unpacking(answers(lowered.spec, scene))):
        assert found.shape == expected.shape
        assert 0 < relative_error(found, expected) < largest
        assert float((classes(found) == classes(expected)).float().mean()) > 0.95


@pytest.mark.lava
def test_slayer_sends_the_same_messages(scene: Scene, converted: Path) -> None:
    spec = read_spec(converted / "sdnn.h5")
    for one in (spec, lower_spec(spec).spec):
        network = network_from_spec(one)
        run = assert_equal_messages(
            Engine(one), slayer_backend(network), scene.unseen.frames[:LENGTH]
        )
        assert bool((run.events.sum(dim=0) > 0).all()), "a silent layer compares nothing"


def test_the_report_speaks_of_what_the_network_answers(
    name: str, target: str, converted: Path
) -> None:
    """Classes cannot be displaced; maps can."""
    report = read_report(converted / "report.json")
    assert len(report.plan.relays) == (TARGETS[target].relays or 0)
    assert report.plan.held_out_frames > 0
    assert not [one for one in report.warnings if "bits on the calibration frames" in one]
    fidelity = report.fidelity
    assert fidelity.heatmap_relative_error is not None
    assert fidelity.heatmap_relative_error < 0.1
    if name == CLASSIFIER:
        assert fidelity.displacement_px_mean is None
        assert fidelity.same_class is not None
        assert fidelity.same_class > 0.95
    else:
        assert fidelity.same_class is None
        assert fidelity.displacement_px_mean is not None


@pytest.mark.lava
def test_stock_netx_loads_the_exported_file(
    scene: Scene, target: str, converted: Path, tmp_path: Path
) -> None:
    from ann2sdnn.sdnn.lava.network import load_network

    lowered = lower_spec(read_spec(converted / "sdnn.h5"))
    write_netx(tmp_path / "network.net", lowered)
    network = load_network(tmp_path / "network.net")
    assert len(network.layers) == len(lowered.spec.layers)


def test_what_cannot_be_measured_is_refused_in_a_sentence(scene: Scene, tmp_path: Path) -> None:
    model, data, out = scene.file(CLASSIFIER), scene.folder / "data", tmp_path / "sdnn"
    budget = RateDistortion(budget_px=0.2)
    with pytest.raises(UsageError, match=r"needs heat maps.*\(4, 1, 1\).*--budget-error"):
        convert(model, data, out, options(thresholds=budget))
    small = ModelBuilder(("N", 1, 28, 28)).add("Conv", np.ones((2, 1, 3, 3), np.float32))
    with pytest.raises(ModelError, match=r"takes inputs of 28x28, the recordings have 260x344"):
        convert(small.save(tmp_path / "mnist.onnx"), data, out, options())
    assert not out.exists()


def test_evaluate_compares_any_output_and_refuses_another_task(
    scene: Scene, name: str, converted: Path
) -> None:
    data, of_frames = scene.folder / "data", {"split": "all", "source": Dhp19Options((0,))}
    report = evaluate(converted, data, EvaluateOptions(max_frames=16, **of_frames)).report  # type: ignore[arg-type]
    assert report.task == "output"
    assert report.output_relative_error is not None
    assert 0 < report.output_relative_error < 0.1
    assert (report.class_changed is None) == (name == U_NETWORK)
    assert not [warning for warning in report.warnings if "joint" in warning]
    with pytest.raises(ModelError, match=r"shape \(4, .*the pose task needs \(13, 260, 344\)"):
        evaluate(converted, data, EvaluateOptions(task="pose", **of_frames))  # type: ignore[arg-type]


def _stem(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=32), *more)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3, stride=32)),
        _stem(nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)),
        _stem(nn.Flatten(), nn.Linear(4 * 9 * 11, 3, bias=False), nn.BatchNorm1d(3), nn.ReLU()),
        _stem(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 3)),
        _stem(nn.ReLU(), nn.ConvTranspose2d(4, 2, 3, 2, 1, output_padding=1)),
        _stem(nn.ReLU6(), nn.ZeroPad2d(1), nn.Conv2d(4, 2, 3)),
        _stem(nn.LeakyReLU(), nn.MaxPool2d(2), nn.PReLU(4), nn.Upsample(scale_factor=2)),
    ],
)
def test_what_torch_writes_is_read(network: nn.Sequential, tmp_path: Path) -> None:
    """A batch normalisation not folded, whose equal constants torch stores once; no bias at all."""
    graph = read_onnx(export(network.eval(), tmp_path / "model.onnx"))
    frames = torch.rand(1, 1, *SIZE)
    with torch.no_grad():
        expected = network(frames)
    found = FloatNetwork(graph)(frames).reshape(expected.shape)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "operator"),
    [
        (_stem(nn.ReflectionPad2d(1)), "Pad"),
        (_stem(nn.ELU(), nn.Conv2d(4, 2, 1)), "Elu"),
        (_stem(nn.Upsample(scale_factor=2, mode="bilinear")), "Resize"),
    ],
)
def test_what_is_refused_is_named(network: nn.Sequential, operator: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"\({operator}\) in module \d: .*train with"):
        read_onnx(export(network.eval(), tmp_path / "model.onnx"))
