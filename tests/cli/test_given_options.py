"""An option that has no effect with the others given is an error, never ignored."""

from pathlib import Path
from typing import Any

import pytest
from commands import COMMANDS
from networks import random_spec
from netx_files import write_experiment
from recordings import write_network, write_recordings

from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.data.recordings.experiment_file import write_experiment_file
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.support.errors import Ann2SdnnError

CONVERT = ("convert", "model.onnx", "--calibrate", "data", "--out", "new")
DIAGNOSE = ("diagnose", "--data", "data", "--out", "new")
TRAIN = ("train-ann", "--data", "data", "--out", "new")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a file of the experiment, a network, a spec and a network of slayer."""
    folder = tmp_path_factory.mktemp("given")
    write_recordings(folder / "data", subjects=2, frames=8)
    write_experiment_file(folder / "data.pt", open_recordings(folder / "data"))
    write_network(folder / "model.onnx")
    write_spec(folder / "sdnn" / "sdnn.h5", random_spec())
    write_experiment(folder / "old.net")
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            (*CONVERT, "--thresholds", "none", "--budget-px", "0.1"),
            "--budget-px has no effect without --thresholds rate-",
        ),
        (
            (*CONVERT, "--thresholds", "mean-delta", "--memory", "all"),
            "--memory has no effect without --thresholds rate-dist",
        ),
        (
            (*CONVERT, "--budget-px", "1", "--budget-error", "1"),
            "are two budgets",
        ),
        ((*CONVERT, "--threshold", "0.1"), "--threshold has no effect without --thresholds fixed"),
        (
            (*CONVERT, "--thresholds", "mean-delta", "--percentile", "50"),
            "--percentile has no effect without --thresholds percentile",
        ),
        (
            (*CONVERT, "--thresholds", "rate-distortion", "--factor", "1"),
            "--factor has no effect without --thresholds mean-delta",
        ),
        (
            (*CONVERT, "--thresholds", "none", "--threshold-bits", "0"),
            "--threshold-bits has no effect without",
        ),
        ((*CONVERT, "--threshold-bits", "2"), "below one unit of a message has no effect"),
        (
            (*CONVERT, "--distil", "1", "--distil-steps", "5"),
            "--distil-steps has no effect with --distil; choose one",
        ),
        (("inspect", "sdnn", "--json", "--html", "x.html"), "--html has no effect with --json"),
        (("inspect", "sdnn", "--json", "--loihi"), "--loihi has no effect with --json"),
        (("inspect", "sdnn", "--html", "x.html", "--loihi"), "--loihi has no effect with --html"),
        (("inspect", "sdnn", "--force"), "--force has no effect without --html"),
        (("bench", "sdnn", "--data", "data", "--force"), "--force has no effect without --json"),
        ((*TRAIN, "--aware-share", "0.4"), "--aware-share has no effect without --conversion-aw"),
        ((*TRAIN, "--resume", "--force"), "--force has no effect with --resume; choose one"),
        (
            ("train-sdnn", "sdnn", "--data", "data", "--out", "new", "--resume", "--force"),
            "--force has no effect with --resume; choose one",
        ),
        (
            ("synth", "new", "--kinds", "walk", "--movements", "33"),
            "--movements 33; --kinds walk has",
        ),
        (
            ("drift", "sdnn", "--data", "data", "--out", "new", "--frames", "8", "--resets", "2,8"),
            "--resets 8 has no effect in 8 frames",
        ),
        (("lower", "old.net", "new.net", "--input", "1x20x16"), "old.net says 1x16x20"),
        (
            ("diagnose", "--data", "data.pt", "--out", "new", "--frames", "8"),
            "--frames has no effect without a folder of recordings",
        ),
        ((*DIAGNOSE, "--sequences", "2"), "--sequences 2; a batch alone has 8"),
        pytest.param(
            (*DIAGNOSE, "--repair", "he", "--repair", "initialisation"),
            "--repair he and --repair initialisation both change initialisation",
            marks=pytest.mark.lava,
        ),
        pytest.param(
            (*DIAGNOSE, "--repair", "pool", "--repair", "pool"),
            "both change pooling",
            marks=pytest.mark.lava,
        ),
        pytest.param(
            (*DIAGNOSE, "--repair", "threshold", "--threshold", "0.2"),
            "--threshold and --repair threshold; choose one",
            marks=pytest.mark.lava,
        ),
        (
            (*DIAGNOSE, "--repair", "learning-rate", "--learning-rate", "0.1"),
            "--learning-rate and --repair learning-rate; choose one",
        ),
        pytest.param(
            (*DIAGNOSE, "--preset", "dhp19-ann", "--threshold", "0.2"),
            "--threshold has no effect with --preset dhp19-ann",
            marks=pytest.mark.lava,
        ),
        pytest.param(
            (*DIAGNOSE, "--preset", "dhp19-ann", "--repair", "sum-output"),
            "--repair sum-output has no effect with --preset dhp19-ann",
            marks=pytest.mark.lava,
        ),
        ((*DIAGNOSE, "--network", "sdnn", "--repair", "pool"), "belong together"),
        ((*DIAGNOSE, "--checkpoint", "x"), "--checkpoint needs --network"),
        (
            ("train-sdnn", "sdnn", "--data", "data", "--out", "new", "--device", "meta"),
            "--device meta cannot be used",
        ),
        (
            ("train-sdnn", "sdnn", "--data", "data", "--out", "new", "--device", "toaster"),
            "--device toaster cannot be used",
        ),
    ],
)
def test_options_that_contradict_or_do_nothing_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(Ann2SdnnError) as caught:
        COMMANDS[arguments[0]].main([*arguments[1:]], standalone_mode=False)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", ["simulate", "drift"])
def test_a_crop_that_no_layer_can_pool_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.chdir(folder)
    sdnn = str(tmp_path / "sdnn")
    convert = ["model.onnx", "--calibrate", "data", "--out", sdnn, "--frames", "4", "--quiet"]
    COMMANDS["convert"].main(convert, standalone_mode=False)
    arguments = [sdnn, "--data", "data", "--crop", "1x1"]
    arguments += ["--out", "new"] if command == "drift" else []
    with pytest.raises(Ann2SdnnError, match="does not fit layer n0_Conv"):
        COMMANDS[command].main(arguments, standalone_mode=False)


def test_the_shape_of_the_files_own_input_block_may_be_repeated(
    folder: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.net"
    arguments = [str(folder / "old.net"), str(new), "--input", "1x16x20"]
    COMMANDS["lower"].main(arguments, standalone_mode=False)
    assert new.is_file()


@pytest.mark.parametrize(
    ("command", "used"), [("train-ann", TrainOptions()), ("train-sdnn", SdnnTrainOptions())]
)
def test_help_shows_the_defaults_that_are_used(command: str, used: Any) -> None:
    texts = {"crop": "192x96", "channels": "2,3"}
    for parameter in COMMANDS[command].params:
        if hasattr(used, parameter.name) and parameter.default is not None:
            expected = texts.get(parameter.name, getattr(used, parameter.name))
            assert getattr(parameter.default, "value", parameter.default) == expected


def test_every_option_has_a_help_text() -> None:
    missing = [
        f"{command} {parameter.name}"
        for command, made in COMMANDS.items()
        for parameter in made.params
        if not parameter.help
    ]
    assert missing == []
    assert all("Example: ann2sdnn" in made.help for made in COMMANDS.values())
