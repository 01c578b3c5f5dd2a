"""`train-sdnn`: a conversion goes in, one that has learned comes out."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from networks import assert_equal_messages
from PIL import Image
from recordings import write_network, write_recordings
from typer.testing import CliRunner

from ann2sdnn.calibration.thresholds.rules import NoThresholds
from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.fine_tuning.fine_tune import fine_tune
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.convert.stages.verify import verify
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.sources.dhp19 import Dhp19Options, plan_runs
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.slayer.backend import SlayerBackend
from ann2sdnn.sdnn.spec.file import read_spec, write_spec
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.check import check
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.sdnn.training.run_folder import SdnnRunFolder
from ann2sdnn.support.errors import OutputError, UsageError
from ann2sdnn.support.progress import SilentReporter, Task

# Two epochs of two runs, each of two chunks.
OPTIONS = SdnnTrainOptions(
    penalty=1.0,
    sparsity=0.0,
    epochs=2,
    batch_size=1,
    chunk_frames=3,
    chunks=2,
    crop=(64, 48),
    channels=(2,),
    learning_rate=0.05,
    threshold_rate=0.1,
    validation_frames=6,
    verified_frames=6,
    pictures_every=2,
)


class Interrupted(SilentReporter):
    """Interrupts the run when its second epoch starts."""

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        if name.startswith("epoch 2/"):
            raise KeyboardInterrupt
        with super().task(name, total, unit) as task:
            yield task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and a conversion of a tiny network."""
    folder = tmp_path_factory.mktemp("fine-tuning")
    write_recordings(folder / "data", subjects=4, frames=8)
    write_network(folder / "model.onnx")
    options = ConvertOptions(
        NoThresholds(),
        spike_exp=6,
        quantise=QuantiseOptions(rounding="nearest", relays=0),
        source=Dhp19Options((2,)),
        max_frames=8,
    )
    convert(folder / "model.onnx", folder / "data", folder / "sdnn", options)
    return folder


def test_the_result_is_a_conversion_that_all_backends_agree_on(folder: Path) -> None:
    out = folder / "tuned"
    result = fine_tune(folder / "sdnn", folder / "data", out, OPTIONS)
    before, after = read_spec(folder / "sdnn" / "sdnn.h5"), read_spec(out / "sdnn.h5")
    assert changed_weights(before, after) > 0
    network = network_from_spec(after)
    frames = open_recordings(folder / "data")[0].frames(range(5), (2,))
    run = assert_equal_messages(Engine(after), SlayerBackend(network), torch.from_numpy(frames))
    assert bool((run.events.sum(dim=0) > 0).all())
    assert lower_spec(after).spec.output_scale.size > 0
    options = EvaluateOptions(split="validation", source=Dhp19Options((2,)), max_frames=6)
    told = evaluate(out, folder / "data", options).report
    assert told.sdnn is not None
    assert told.sdnn.mpjpe_px == pytest.approx(result.last.mpjpe_px)
    report = read_report(out / "report.json")
    assert report.fine_tuning is not None
    assert report.fine_tuning.steps == result.last.steps == 8
    assert sum(one.weights_changed for one in report.fine_tuning.layers) > 0
    assert [one.threshold for one in report.layers] == result.last.thresholds
    history = json.loads((out / "training.json").read_text())["history"]
    assert [record["epoch"] for record in history] == [0, 1, 2]
    for name in ("training.png", "pictures/epoch-000.png", "pictures/epoch-002.png"):
        assert (out / name).stat().st_size > 1000


def test_a_penalty_saves_messages(folder: Path) -> None:
    options = replace(OPTIONS, penalty=1000.0, threshold_rate=0.5, pictures_every=9)
    result = fine_tune(folder / "sdnn", folder / "data", folder / "dear", options)
    assert result.last.events_per_frame[1] < 0.9 * result.first.events_per_frame[1]
    assert result.last.validation_synops_per_frame < result.first.validation_synops_per_frame
    assert result.last.thresholds[0] > result.first.thresholds[0]


def test_without_a_penalty_it_comes_nearer_to_the_ann(folder: Path) -> None:
    """The labels say something else than an untrained network, and lead elsewhere."""
    coarse = folder / "coarse"
    shutil.copytree(folder / "sdnn", coarse)
    spec = read_spec(coarse / "sdnn.h5")
    layers = tuple(replace(one, threshold=36) for one in spec.layers)
    write_spec(coarse / "sdnn.h5", replace(spec, layers=layers), force=True)
    before = verified_error(folder, read_spec(coarse / "sdnn.h5"))
    options = replace(OPTIONS, penalty=0.0, learning_rate=0.01, epochs=6, pictures_every=9)
    errors = {}
    for target in ("ann", "labels"):
        out = folder / f"as-{target}"
        fine_tune(coarse, folder / "data", out, replace(options, target=target))
        errors[target] = verified_error(folder, read_spec(out / "sdnn.h5"))
    assert errors["ann"] < 0.8 * before
    assert errors["labels"] > errors["ann"]


def test_thresholds_can_be_chosen_anew_for_a_budget(folder: Path) -> None:
    """Also when the training is over, and of the pruned network."""
    out = folder / "budget"
    options = replace(OPTIONS, epochs=1, sparsity=0.5, verified_frames=16)
    assert fine_tune(folder / "sdnn", folder / "data", out, options).rechecked is None
    trained = read_spec(out / "sdnn.h5")
    later = SdnnRunFolder(out).chosen_options({"budget_px": 4.0}, resume=True)
    result = fine_tune(folder / "sdnn", folder / "data", out, later, resume=True)
    spec, report = read_spec(out / "sdnn.h5"), result.report
    for one, other in zip(spec.layers, trained.layers, strict=True):
        assert np.array_equal(one.weight, other.weight)
    middle = [layer.weight for layer in spec.layers[1:-1]]
    assert all((weight == 0).mean() >= 0.5 - 1 / weight.size for weight in middle)
    assert report.threshold_budget is not None
    found = report.threshold_budget.remembering
    assert found.added is not None
    assert found.added.value <= 4.0
    assert found.synops_per_frame < report.threshold_budget.synops_per_frame_without
    step = spec.grid.threshold_step
    assert [one.threshold for one in report.layers] == [x.threshold * step for x in spec.layers]
    assert max(one.threshold for one in spec.layers) > 0
    assert result.rechecked is not None
    validation = plan_runs(open_recordings(folder / "data")[2:3], (2,), 6)
    graph = open_conversion(folder / "sdnn").graph
    assert result.rechecked.synops_per_frame == check(spec, validation, graph).synops_per_frame


def test_it_stops_when_its_time_is_over(folder: Path) -> None:
    options = replace(OPTIONS, epochs=1000, max_minutes=0.001)
    out = folder / "hurried"
    result = fine_tune(folder / "sdnn", folder / "data", out, options)
    assert result.last.epoch == 1
    assert 0 < result.last.steps < 8
    assert (out / "pictures" / "epoch-001.png").exists()
    again = fine_tune(folder / "sdnn", folder / "data", out, resume=True)
    assert again.last.steps == result.last.steps


def test_a_run_that_was_interrupted_ends_as_if_it_had_not_been(folder: Path) -> None:
    options = replace(OPTIONS, scratch=True, pictures_every=9)
    whole = fine_tune(folder / "sdnn", folder / "data", folder / "whole", options)
    out = folder / "parts"
    with pytest.raises(KeyboardInterrupt):
        fine_tune(folder / "sdnn", folder / "data", out, options, reporter=Interrupted())
    assert not (out / "sdnn.h5").exists()
    with pytest.raises(UsageError, match="another penalty"):
        changed = SdnnRunFolder(out).chosen_options({"penalty": 5.0}, resume=True)
        fine_tune(folder / "sdnn", folder / "data", out, changed, resume=True)
    with pytest.raises(UsageError, match="another conversion"):
        fine_tune(folder / "whole", folder / "data", out, resume=True)
    parts = fine_tune(folder / "sdnn", folder / "data", out, resume=True)
    assert changed_weights(read_spec(folder / "whole" / "sdnn.h5"), read_spec(out / "sdnn.h5")) == 0
    assert replace(parts.last, seconds=0.0) == replace(whole.last, seconds=0.0)
    before, after = (read_spec(folder / name / "sdnn.h5") for name in ("sdnn", "whole"))
    for one, other in zip(before.layers, after.layers, strict=True):
        correlation = np.corrcoef(one.weight.ravel(), other.weight.ravel())[0, 1]
        assert abs(correlation) < 0.5, "from scratch there is nothing of the conversion's weights"


def test_it_refuses_what_cannot_work(folder: Path) -> None:
    sdnn, data = folder / "sdnn", folder / "data"
    with pytest.raises(UsageError, match="choose another folder"):
        fine_tune(sdnn, data, sdnn, OPTIONS)
    with pytest.raises(UsageError, match="longer than every sequence"):
        fine_tune(sdnn, data, folder / "none", replace(OPTIONS, chunks=9))
    used = folder / "used"
    used.mkdir()
    (used / "file").write_text("mine")
    with pytest.raises(OutputError, match="holds something else than this command writes"):
        fine_tune(sdnn, data, used, OPTIONS)
    with pytest.raises(OutputError, match="no training run to resume"):
        fine_tune(sdnn, data, used, resume=True)
    assert (used / "file").read_text() == "mine"


def test_the_command_says_what_was_gained(folder: Path) -> None:
    out = folder / "command"
    shutil.rmtree(out, ignore_errors=True)
    result = CliRunner().invoke(
        app,
        f"train-sdnn {folder / 'sdnn'} --data {folder / 'data'} --out {out} --epochs 1 --chunks 2"
        " --chunk-frames 2 --crop 64x48 --channels 2 --validation-frames 4 --penalty 0.5 --quiet",
    )
    assert result.exit_code == 0, result.output
    assert "Before" in result.output
    operations = r"px, +\d[\d.]* [kM] synaptic operations per frame"
    assert len(re.findall(operations, result.output)) == 2
    assert read_report(out / "report.json").thresholds == "trained"


def verified_error(folder: Path, spec: Spec) -> float:
    """How far the heat maps are from the ANN's on the training frames, over the ANN's size."""
    graph = open_conversion(folder / "sdnn").graph
    runs = plan_runs(open_recordings(folder / "data")[:2], (2,))
    error = verify(graph, spec, runs, SilentReporter()).difference.heatmap_relative_error
    assert error is not None
    return error


def changed_weights(before: Spec, after: Spec) -> int:
    """How many integer weights and thresholds differ."""
    return sum(
        int((a.weight != b.weight).sum()) + int(a.threshold != b.threshold)
        for a, b in zip(before.layers, after.layers, strict=True)
    )


@pytest.mark.parametrize("option", ["validation_frames", "verified_frames"])
def test_too_few_frames_are_named_by_their_option(
    folder: Path, tmp_path: Path, option: str
) -> None:
    changes: dict[str, Any] = {option: 1}
    options = SdnnTrainOptions(channels=(2, 3), workers=0, **changes)
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} 1; expected 2 or more"):
        fine_tune(folder / "sdnn", folder / "data", tmp_path / "out", options)


def test_a_network_for_resized_pictures_learns_with_errors_in_whole_ones(
    folder: Path, tmp_path: Path
) -> None:
    options = ConvertOptions(
        NoThresholds(),
        spike_exp=6,
        quantise=QuantiseOptions(rounding="nearest", relays=0),
        source=Dhp19Options((2,)),
        max_frames=8,
        resize=(64, 84),
    )
    convert(folder / "model.onnx", folder / "data", tmp_path / "sdnn", options)
    changed = replace(OPTIONS, crop=(32, 40), epochs=1, pictures_every=1)
    result = fine_tune(tmp_path / "sdnn", folder / "data", tmp_path / "out", changed)
    asked = EvaluateOptions(split="validation", source=Dhp19Options((2,)), max_frames=6)
    told = evaluate(tmp_path / "out", folder / "data", asked).report
    assert told.task == "pose"
    assert told.sdnn is not None
    assert told.sdnn.mpjpe_px == pytest.approx(result.last.mpjpe_px)
    assert told.baseline_mean_pose_px is not None
    # The sheet shows the camera's pictures, whose joints it draws.
    sheet = SdnnRunFolder(tmp_path / "out").picture(result.last.epoch)
    assert Image.open(sheet).size[0] >= 3 * 344
