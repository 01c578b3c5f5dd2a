"""`diagnose` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled import quarters, write_quarter_network
from recordings import write_recordings

from ann2sdnn.calibration.thresholds.rules import MeanDelta
from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.folder import SPEC_FILE, open_conversion
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.recordings.experiment_file import write_experiment_file
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import Ann2SdnnError

SMALL = ("--crop", "32x32", "--batch", "2", "--channel", "2")
SHORT = ("--frames", "3", *SMALL)


MAIN = "from ann2sdnn.cli.app import main; main()"


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        MAIN,
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def one_layer() -> Spec:
    """A converted network of one convolution to 13 heat maps."""
    weight = 2 * np.random.default_rng(0).integers(-60, 60, (13, 1, 3, 3)).astype(np.int16)
    layer = SpecLayer(
        name="only",
        geometry=Convolution(pads=(1, 1, 1, 1)),
        weight=weight,
        bias=None,
        relu=True,
        pool=None,
        threshold=1,
        scale=np.ones(13),
        input_shape=(1, 260, 344),
    )
    return Spec((1, 260, 344), 1 / 255, 4, Grid(), (layer,), "0" * 64)


def here(*arguments: str | Path) -> None:
    """The same in this process, which has imported what takes seconds."""
    app(["diagnose", *map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("diagnose") / "data", subjects=2, frames=8)


@pytest.mark.lava
def test_the_preset_is_found_guilty(data: Path, tmp_path: Path) -> None:
    done = run(
        "diagnose", "--preset", "dhp19-sdnn", "--data", data, "--out", tmp_path / "d", *SHORT
    )
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "never summed" in " ".join(done.stdout.split())
    assert {path.name for path in (tmp_path / "d").iterdir()} == {
        ".ann2sdnn",
        "diagnosis.json",
        "events.png",
        "gradients.png",
    }
    report = json.loads((tmp_path / "d" / "diagnosis.json").read_text())
    assert report["settings"]["threshold"] == 0.1
    assert len(report["steps"]) == 2
    assert [layer["name"] for layer in report["layers"]][:2] == ["conv1", "pool1"]
    assert "Warning" not in done.stderr


@pytest.mark.lava
def test_a_conversion_and_the_experiments_file_are_diagnosed(data: Path, tmp_path: Path) -> None:
    write_spec(tmp_path / "sdnn" / SPEC_FILE, one_layer())
    here("--network", tmp_path / "sdnn", "--data", data, "--out", tmp_path / "d", *SHORT)
    report = json.loads((tmp_path / "d" / "diagnosis.json").read_text())
    assert report["network"] == "conversion"
    assert "output-not-summed" not in {found["name"] for found in report["findings"]}
    write_experiment_file(tmp_path / "data.pt", open_recordings(data))
    options = ("--preset", "dhp19-ann", "--repair", "initialisation", "--repair", "pool")
    here("--data", tmp_path / "data.pt", "--out", tmp_path / "p", *options, *SMALL)
    report = json.loads((tmp_path / "p" / "diagnosis.json").read_text())
    assert report["network"] == "plain ANN"
    assert report["repairs"] == ["initialisation", "pool"]
    assert (report["height"], report["width"], report["frames"]) == (32, 32, 8)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, converted, and the frames that it was calibrated on."""
    folder = tmp_path_factory.mktemp("classifier")
    frames, _ = quarters(4, 6)
    np.save(folder / "frames.npy", frames.reshape(-1, 1, 8, 8))
    model = write_quarter_network(folder / "model.onnx")
    convert(model, folder / "frames.npy", folder / "sdnn", ConvertOptions(MeanDelta(0.5)))
    return folder


OTHER = ("--frames", "6", "--batch", "2")


@pytest.mark.lava
def test_a_conversion_learns_the_anns_outputs_for_frames_of_any_source(
    classifier: Path, tmp_path: Path
) -> None:
    files = ("--network", classifier / "sdnn", "--data", classifier / "frames.npy")
    here(*files, "--out", tmp_path / "d", *OTHER)
    report = json.loads((tmp_path / "d" / "diagnosis.json").read_text())
    assert (report["height"], report["width"], report["frames"]) == (8, 8, 6)
    # The targets are those of the ANN, from which a conversion is not far.
    graph = open_conversion(classifier / "sdnn").graph
    ann = FloatNetwork(graph)
    frames = torch.from_numpy(np.load(classifier / "frames.npy"))
    targets = ann(ann.encode(frames)).reshape(4, 6, 4)[:2]  # the first batch
    assert report["target_peak"] == pytest.approx(float(targets.max()))
    first = report["steps"][0]
    assert first["silence_error"] == pytest.approx(float(targets.square().mean()))
    assert first["error"] < 0.5 * first["silence_error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--crop", "4x4"), "--crop has no effect without poses as targets"),
        (("--channel", "2"), "--channel has no effect without DHP19 recordings as --data"),
        (("--frames", "50"), "no sequence has 50 frames"),
        (("--colour", "grey"), "--colour: .* holds array files"),
        (("--preset", "dhp19-ann"), "holds no DHP19 recordings, and a preset learns their poses"),
    ],
)
@pytest.mark.lava
def test_what_has_no_effect_on_other_frames_is_refused(
    classifier: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    network = () if "--preset" in options else ("--network", classifier / "sdnn")
    files = ("--data", classifier / "frames.npy", "--out", tmp_path / "d")
    with pytest.raises(Ann2SdnnError, match=message):
        here(*network, *files, "--batch", "2", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--repair", "magic"), "--repair magic; expected some of sum-output"),
        pytest.param(
            ("--network", "nowhere"), "nowhere/sdnn.h5 does not exist", marks=pytest.mark.lava
        ),
        (("--network", "x", "--threshold", "0.1"), "belong together"),
        (("--checkpoint", "x"), "--checkpoint needs --network"),
        (
            ("--crop", "30x30"),
            "--crop 30x30; expected height x width in pixels, positive multiples of 4",
        ),
        (("--channel", "7"), "--channel 7; expected a whole number from 0 to 3"),
        (("--frames", "1"), "--frames 1"),
        pytest.param(("--batch", "100"), "the data has 2 sequences", marks=pytest.mark.lava),
    ],
)
def test_a_mistake_is_one_sentence(
    data: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(Ann2SdnnError) as caught:
        here("--data", data, "--out", tmp_path / "d", *options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d").exists()
