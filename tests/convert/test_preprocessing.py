"""Conversions of networks whose frames are normalised, resized, signed or float32."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx_models import ModelBuilder
from torch import Tensor, nn

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import NoThresholds
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.eval.bench.networks.subject import Subject
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork, file_input
from ann2sdnn.graph.preprocessing import Preprocessing, resize_frames
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.support.errors import ConversionError, DataError, ModelError, UsageError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NO_THRESHOLDS = ConvertOptions(thresholds=NoThresholds())
CHANNELS = (slice(None), None, None)


def scene(seed: int, n_frames: int = 6, size: tuple[int, int] = (20, 24)) -> NDArray[np.uint8]:
    """Smooth coloured frames [T, 3, H, W], which move by a pixel per frame."""
    noise = np.random.default_rng(seed).random((1, 3, 6, 12)).astype(np.float32)
    height, width = size
    smooth = F.interpolate(torch.from_numpy(noise), (height, width + n_frames), mode="bicubic")
    wide = (smooth[0] * 255).clamp(0, 255).to(torch.uint8).numpy()
    return np.stack([wide[:, :, t : t + width] for t in range(n_frames)])


def module(channels: int = 3) -> nn.Sequential:
    """A padded network for inputs around 0."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU()
    )


def normalised(frames: NDArray[Any], scale: float = 1 / 255) -> Tensor:
    """As torchvision's transforms do."""
    values = torch.from_numpy(frames).double() * scale
    mean, std = (torch.tensor(v).double()[CHANNELS] for v in (MEAN, STD))
    return (values - mean) / std


def outputs_of(x: Tensor) -> Tensor:
    with torch.no_grad():
        outputs: Tensor = module().double()(x).float()
    return outputs


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def sdnn() -> a2s.Sdnn:
    example = torch.zeros(1, 3, 20, 24)
    network = a2s.from_torch(module(), example, input_scale=1 / 255, input_mean=MEAN, input_std=STD)
    return a2s.to_sdnn(network, [scene(1), scene(2)], options=NO_THRESHOLDS)


def test_a_normalised_network_computes_what_torch_does_at_the_borders_too(sdnn: a2s.Sdnn) -> None:
    frames = scene(3)
    expected = outputs_of(normalised(frames))
    found = sdnn.run(frames).outputs
    inside = (..., slice(2, -2), slice(2, -2))
    border = torch.ones(20, 24, dtype=torch.bool)
    border[inside] = False
    assert relative(found[inside], expected[inside]) < 0.008
    assert relative(found[..., border], expected[..., border]) < 0.01
    ann = FloatNetwork(sdnn.graph)
    assert relative(ann(ann.encode(torch.from_numpy(frames))), expected) < 1e-5
    # A mean in the bias of the first layer would be wrong by far more.
    weight, bias = (value.detach().double() for value in module()[0].parameters())
    x = normalised(frames) + torch.tensor(MEAN).double()[CHANNELS] / torch.tensor(STD)[CHANNELS]
    folded = bias - (weight.sum(dim=(2, 3)) * torch.tensor(MEAN) / torch.tensor(STD)).sum(dim=1)
    wrong = module().double()[1:](F.conv2d(x, weight, folded, padding=1)).float().detach()
    assert relative(wrong[inside], expected[inside]) < 1e-5
    assert relative(wrong[..., border], expected[..., border]) > 0.2


def test_a_still_picture_costs_nothing_after_the_first_frame(sdnn: a2s.Sdnn) -> None:
    run = sdnn.run(np.repeat(scene(3)[:1], 3, axis=0))
    assert run.events[0, 0] > 0
    assert run.events[1:].sum() == 0


def test_the_mean_is_rounded_to_message_units(sdnn: a2s.Sdnn) -> None:
    spec = sdnn.spec
    assert spec.preprocessing == Preprocessing(MEAN, STD)
    counts = np.array(MEAN) * 255
    assert list(spec.input_offset) == np.rint(counts * spec.input_gain).tolist()
    own = sdnn.report.preprocessing
    assert own is not None
    assert (own.mean, own.std, own.offset, own.dtype) == (MEAN, STD, spec.input_offset, "uint8")
    assert "less the mean 0.485, 0.456, 0.406" in " ".join(sdnn.report.table().split())


def test_saved_and_loaded(sdnn: a2s.Sdnn, tmp_path: Path) -> None:
    frames = scene(3)
    sdnn.save(tmp_path / "sdnn")
    again = a2s.load(tmp_path / "sdnn")
    assert torch.equal(again.run(frames).outputs, sdnn.run(frames).outputs)
    assert again.report == sdnn.report
    stored = {p.key: p.value for p in onnx.load(str(tmp_path / "sdnn/model.onnx")).metadata_props}
    assert stored["ann2sdnn.input_mean"] == "0.485,0.456,0.406"
    assert stored["ann2sdnn.input_std"] == "0.229,0.224,0.225"
    # The comparison's ANN, and the file in ONNX Runtime, get the same input.
    compared = again.compare(frames)
    expected = outputs_of(normalised(frames))
    error = compared["sdnn"].relative_error
    assert error == pytest.approx(relative(sdnn.run(frames).outputs, expected), rel=1e-2)
    engine = Engine(again.spec)
    subject = Subject(open_conversion(tmp_path / "sdnn"), torch.from_numpy(frames), engine, None)
    inputs = np.concatenate([x for _, x in subject.inputs(subject.frames)])
    assert np.abs(inputs - normalised(frames).numpy()).max() < 1e-5


def test_options_stand_for_the_files_metadata(tmp_path: Path) -> None:
    plain = a2s.from_torch(module(), torch.zeros(1, 3, 20, 24))
    options = ConvertOptions(
        thresholds=NoThresholds(), input_scale=1 / 255, input_mean=(0.5,), input_std=(0.25,)
    )
    made = a2s.to_sdnn(plain, scene(1), options=options)
    assert made.spec.preprocessing == Preprocessing((0.5,) * 3, (0.25,) * 3)
    assert made.spec.input_offset == (int(np.rint(127.5 * made.spec.input_gain)),) * 3


@pytest.mark.parametrize("signed", [False, True])
def test_float32_frames(signed: bool) -> None:
    """Values of any size: the step follows from the largest that calibration saw."""

    def values(seed: int) -> NDArray[np.float32]:
        return (scene(seed) / 255 - 0.4 * signed).astype(np.float32) * 1e-3

    network = a2s.from_torch(module(), torch.zeros(1, 3, 20, 24), input_scale=1e3)
    sdnn = a2s.to_sdnn(network, [values(1), values(2)], options=NO_THRESHOLDS)
    frames = values(3)
    expected = outputs_of(torch.from_numpy(frames).double() * 1e3)
    assert relative(sdnn.run(frames).outputs, expected) < 0.02
    stream = sdnn.stream()
    whole = sdnn.run(frames).outputs
    for frame, output in zip(frames, whole, strict=True):
        assert torch.equal(stream.step(frame), output)
    own = sdnn.report.preprocessing
    assert own is not None
    assert own.value_max is not None
    largest = float(np.abs(np.concatenate([values(1), values(2)])).max())
    assert own.value_max >= 4 * largest / 1.5, "varied copies are brighter"
    with pytest.raises(DataError, match="converted for values from"):
        sdnn.run(np.full_like(frames, 2 * own.value_max))
    with pytest.raises(DataError, match=r"frames are uint8 .*; expected float32"):
        sdnn.run(scene(1))


def test_float32_frames_with_a_mean() -> None:
    """Far from 0: the mean makes them small."""
    frames = [(scene(seed) / 255 + 20).astype(np.float32) for seed in (1, 2, 3)]
    mean = tuple(m + 20 for m in MEAN)
    example = torch.zeros(1, 3, 20, 24)
    network = a2s.from_torch(module(), example, input_mean=mean, input_std=STD)
    sdnn = a2s.to_sdnn(network, frames[:2], options=NO_THRESHOLDS)
    expected = outputs_of(normalised(frames[2] - 20, 1.0))
    assert relative(sdnn.run(frames[2]).outputs, expected) < 0.02


def test_resized_frames_are_those_of_every_row() -> None:
    network = a2s.from_torch(module(), torch.zeros(1, 3, 20, 24), input_scale=1 / 255)
    large = [scene(seed, size=(33, 52)) for seed in (1, 2, 3)]
    options = ConvertOptions(thresholds=NoThresholds(), resize=(20, 24))
    sdnn = a2s.to_sdnn(network, large[:2], options=options)
    small = resize_frames(torch.from_numpy(large[2]), (20, 24))
    with torch.no_grad():
        expected = module()(small.float() / 255)
    found = sdnn.run(large[2]).outputs
    assert relative(found, expected) < 0.02
    assert torch.equal(found, sdnn.run(small).outputs)
    stream = sdnn.stream()
    assert torch.equal(stream.step(large[2][0]), found[0])
    error = sdnn.compare(large[2])["sdnn"].relative_error
    assert error == pytest.approx(relative(found, expected), rel=1e-3)
    with pytest.raises(ModelError, match=r"takes inputs of 20x24.*--resize 20x24"):
        a2s.to_sdnn(network, large[:2])
    with pytest.raises(UsageError, match="frames are resized"):
        sdnn.stream(window=a2s.EventWindow(events=10))


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"input_mean": (0.5, 0.5)}, "an input mean of 2 values (0.5,0.5) for an input of 3 channels"),
    ({"input_std": (1.0, 2.0)}, "an input standard deviation of 2 values"),
    ({"input_scale": 1.0, "input_mean": (0.485,)}, "is less than one count of a pixel"),
    ({"input_mean": (500.0,)}, "is too far from the pixels, 0 to 255"),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSALS)
def test_what_does_not_fit_is_refused(options: dict[str, Any], sentence: str) -> None:
    network = a2s.from_torch(module(), torch.zeros(1, 3, 20, 24), input_scale=1 / 255)
    with pytest.raises((ModelError, ConversionError)) as refusal:
        a2s.to_sdnn(network, scene(1), options=ConvertOptions(**options))
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_a_deviation_of_0_is_refused(std: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--input-std .*; expected numbers above 0"):
        ConvertOptions(input_std=(std,))
    with pytest.raises(ModelError, match=r"standard deviation of .* expected finite numbers above"):
        a2s.from_torch(module(), torch.zeros(1, 3, 20, 24), input_std=std)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("input_mean", "0.5;0.5", "the metadata ann2sdnn.input_mean is '0.5;0.5', not numbers"),
        ("input_std", "1,0", "the metadata holds an input standard deviation of 1,0"),
        ("resize", "64", "the metadata ann2sdnn.resize is '64', not HxW"),
        ("resize", "0x64", "the metadata holds a size of 0x64"),
    ],
)
def test_odd_metadata_is_refused(tmp_path: Path, key: str, value: str, sentence: str) -> None:
    builder = ModelBuilder((1, 1, 8, 8)).add("Conv", np.ones((1, 1, 3, 3), np.float32))
    builder.metadata[f"ann2sdnn.{key}"] = value
    with pytest.raises(ModelError) as refusal:
        read_onnx(builder.save(tmp_path / "net.onnx"))
    assert sentence in str(refusal.value)


def test_no_effect_is_no_preprocessing(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 2, 8, 8)).add("Conv", np.ones((1, 2, 3, 3), np.float32))
    builder.metadata |= {"ann2sdnn.input_mean": "0,0", "ann2sdnn.input_std": "1"}
    assert read_onnx(builder.save(tmp_path / "net.onnx")).preprocessing == Preprocessing()


def test_a_padded_maximum_of_signed_inputs_is_refused(tmp_path: Path) -> None:
    """Zeros of the padding are no maximum where all pixels are below the mean."""
    builder = ModelBuilder((1, 1, 8, 8))
    builder.add("MaxPool", kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    builder.add("Conv", np.ones((1, 1, 1, 1), np.float32))
    path = builder.save(tmp_path / "net.onnx")
    read_onnx(path)
    with pytest.raises(ModelError, match="padded max pooling without a ReLU before it"):
        read_onnx(path, preprocessing=Preprocessing((100.0,)))


@pytest.mark.parametrize("operator", ["Conv", "MatMul"])
def test_the_deviation_becomes_part_of_the_first_layer(tmp_path: Path, operator: str) -> None:
    rng = np.random.default_rng(0)
    if operator == "Conv":  # a channel and a pair of groups
        builder = ModelBuilder((1, 4, 5, 6))
        builder.add("Conv", rng.standard_normal((6, 2, 3, 3)).astype(np.float32), group=2)
    else:
        builder = ModelBuilder((1, 4, 5, 6)).add("Flatten")
        builder.add("MatMul", rng.standard_normal((120, 3)).astype(np.float32))
    std = (0.5, 3.0, 0.125, 7.0)
    own = Preprocessing((9.0, 2.0, 0.0, 100.0), std)
    # Reading compares with ONNX Runtime, whose input is divided.
    graph = read_onnx(builder.save(tmp_path / "net.onnx"), preprocessing=own)
    pixels = torch.from_numpy(rng.integers(0, 256, (2, 4, 5, 6)).astype(np.uint8))
    expected = (pixels.float() - torch.tensor(own.mean)[CHANNELS]) / torch.tensor(std)[CHANNELS]
    assert torch.allclose(file_input(graph, pixels.float()), expected)
