"""The ResNet and the U-Net of `benchmarks/applications` in small: data, layers and scores.

How they do at full size is tested with the other applications.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from applications_script import script
from engine_results import assert_equal

from ann2sdnn.calibration.thresholds.rules import NoThresholds
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.folder import OpenedConversion, open_conversion
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.reference.reference import Reference

N_PICTURES, N_SEQUENCES, LENGTH, SIZE, N_CLASSES = 64, 8, 8, 64, 2
NAMES = ("resnet", "unet")


def small(name: str) -> Any:
    """The application with little data, few channels and ten passes over the training data."""
    whole = script().APPLICATIONS[name]
    trained_on = N_PICTURES / (N_PICTURES + N_SEQUENCES)
    build, sequences = partial(whole.build, 4), partial(whole.sequences, N_PICTURES, N_SEQUENCES)
    return replace(whole, build=build, sequences=sequences, trained_on=trained_on, epochs=10)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each application the folder with its network, data and conversion."""
    folder = tmp_path_factory.mktemp("applications")
    # Relays, compensated rounding and a plan for netx would take most of the time.
    quantise = QuantiseOptions(relays=0, shifts="per-layer", rounding="nearest")
    options = ConvertOptions(NoThresholds(), split="all", quantise=quantise)
    for name in NAMES:
        script().train(small(name), folder / name)
        model, frames = folder / name / "model.onnx", folder / name / "calibration.npz"
        convert(model, frames, folder / name / "sdnn", options)
    return {name: folder / name for name in NAMES}


def conversion_of(folder: Path) -> OpenedConversion:
    return open_conversion(folder / "sdnn")


def synapses_of(folder: Path) -> list[int]:
    """The number of synapses of each layer."""
    return [len(layer.synapses) for layer in conversion_of(folder).graph.layers]


def test_a_shape_moves_before_a_still_background() -> None:
    drawn = small("unet").sequences()
    frames = drawn.frames[N_PICTURES:].reshape(N_SEQUENCES, LENGTH, 3, SIZE, SIZE).astype(float)
    classes = drawn.labels[N_PICTURES:].reshape(N_SEQUENCES, LENGTH, SIZE, SIZE)
    assert set(np.unique(classes)) == set(range(N_CLASSES))
    # Two frames of a still pixel differ by noise of 2 counts each; a moving texture by more.
    change = np.abs(frames[:, -1] - frames[:, 0]).mean(axis=1)
    is_still = (classes == 0).all(axis=1)
    has_changed = (classes[:, 0] == 0) & (classes[:, -1] > 0)
    assert change[is_still].mean() == pytest.approx(2 * 2 / np.sqrt(np.pi), rel=0.1)
    assert change[has_changed].mean() > 10


@pytest.mark.parametrize("name", NAMES)
def test_pictures_train_and_sequences_test(name: str, folders: dict[str, Path]) -> None:
    lengths = {"training": [1] * N_PICTURES} | dict.fromkeys(
        ("calibration", "test"), [LENGTH] * (N_SEQUENCES // 2)
    )
    for file, expected in lengths.items():
        with np.load(folders[name] / f"{file}.npz") as data:
            assert data["lengths"].tolist() == expected
            assert data["frames"].shape == (sum(expected), 3, SIZE, SIZE)
            assert len(data["labels" if name == "resnet" else "maps"]) == sum(expected)


def test_the_class_of_a_sequence_is_that_of_its_shape(folders: dict[str, Path]) -> None:
    with np.load(folders["resnet"] / "test.npz") as test:
        labels = test["labels"].reshape(-1, LENGTH)
    assert (labels == labels[:, :1]).all()
    assert len(np.unique(labels)) > 1


def test_the_resnet_is_a_resnet18() -> None:
    """Of width 64 it has the 11,689,512 parameters of torchvision's, whose dense layer has 1,000
    outputs of 512 + 1 parameters each instead of 4.
    """
    whole = script().APPLICATIONS["resnet"].build(64)
    assert sum(each.numel() for each in whole.parameters()) == 11_689_512 - 996 * 513


def test_the_eight_sums_of_the_resnet_have_two_synapses(folders: dict[str, Path]) -> None:
    synapses = synapses_of(folders["resnet"])
    # 17 convolutions outside of shortcuts, and the dense layer.
    assert (synapses.count(1), synapses.count(2)) == (10, 8)
    assert conversion_of(folders["resnet"]).graph.output_shape == (4, 1, 1)


def test_the_unets_decoder_reads_two_layers(folders: dict[str, Path]) -> None:
    # 5 pairs of convolutions, 2 poolings of maps that are read whole too, 2 enlargements, the last
    # convolution.
    synapses = synapses_of(folders["unet"])
    assert (synapses.count(1), synapses.count(2)) == (13, 2)
    assert conversion_of(folders["unet"]).graph.output_shape == (N_CLASSES, SIZE, SIZE)


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_sends_what_the_reference_does(name: str, folders: dict[str, Path]) -> None:
    spec = conversion_of(folders[name]).spec
    with np.load(folders[name] / "test.npz") as test:
        frames = torch.from_numpy(test["frames"][:3])
    found, expected = (run(spec).run(frames, keep_messages=True) for run in (Engine, Reference))
    assert_equal(found, expected)


def test_pixels_are_scored_by_mean_iou(folders: dict[str, Path]) -> None:
    """Beside ONNX Runtime on the test frames, with pixels counted class by class."""
    folder = folders["unet"]
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    with np.load(folder / "test.npz") as test:
        assert "labels" not in test
        shown, truth = small("unet").inputs(test["frames"]), test["maps"]
    outputs = [session.run(None, {"frame": x.numpy()})[0] for x in torch.split(shown, 1)]
    found = np.concatenate(outputs).argmax(axis=1)
    each = [
        ((found == number) & (truth == number)).sum()
        / ((found == number) | (truth == number)).sum()
        for number in range(N_CLASSES)
    ]
    scores = script().pixel_scores(folder / "sdnn", folder / "test.npz")
    assert scores.ann == pytest.approx(np.mean(each), abs=1e-4)
    assert scores.sdnn == pytest.approx(scores.ann, abs=0.02)
    assert 0 <= scores.difference < 0.02
