"""The Python API on a small network, against the commands on the same data."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from points import add_points
from recordings import write_network, write_recordings
from torch import nn

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import Fixed, MeanDelta
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.graph.onnx import reader as onnx_reader
from ann2sdnn.graph.onnx.check import compare_with_onnx_runtime
from ann2sdnn.graph.onnx.file.load import OnnxFile
from ann2sdnn.sdnn.spec.points import PointName
from ann2sdnn.support.errors import Ann2SdnnError, DataError, OutputError, UsageError

Images = NDArray[np.uint8]
CAMERA = Dhp19Options((2,))


def moving(seed: int, n_frames: int = 6) -> Images:
    """Frames [T, 2, 16, 20] of a texture that moves by one pixel per frame."""
    texture = np.random.default_rng(seed).integers(0, 256, (2, 16, 40), np.uint8)
    return np.stack([texture[:, :, t : t + 20] for t in range(n_frames)])


def module(*, classes: bool = False) -> nn.Sequential:
    """A network for these frames: three maps, or three numbers."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 1)]
    if classes:
        layers += [nn.ReLU(), nn.Flatten(), nn.Linear(3 * 8 * 10, 3)]
    return nn.Sequential(*layers)


def exported(*, classes: bool = False) -> OnnxFile:
    example = torch.zeros(1, 2, 16, 20)
    return a2s.from_torch(module(classes=classes), example, input_scale=1 / 255)


@pytest.fixture(scope="module")
def sdnn() -> a2s.Sdnn:
    options = ConvertOptions(thresholds=MeanDelta(0.5))
    return a2s.to_sdnn(exported(), [moving(1), moving(2)], options=options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a network and its conversion by the function behind `ann2sdnn convert`."""
    folder = tmp_path_factory.mktemp("api")
    write_recordings(folder / "data", subjects=4)
    write_network(folder / "model.onnx")
    options = ConvertOptions(thresholds=Fixed(0.25), split="all", source=CAMERA)
    convert(folder / "model.onnx", folder / "data", folder / "sdnn", options)
    return folder


def recorded(folder: Path) -> list[NDArray[Any]]:
    """The recordings' frames as arrays."""
    sequences = open_frames(folder / "data", CAMERA, split="all", max_frames=256)
    return [np.concatenate(list(one.chunks())) for one in sequences]


def test_a_torch_module_becomes_the_network_that_it_is() -> None:
    network = exported()
    sdnn = a2s.to_sdnn(network, moving(1))
    frames = moving(3)
    with torch.no_grad():
        expected = torch.relu(module()(torch.from_numpy(frames).float() / 255))
    error = (torch.relu(sdnn.run(frames).outputs) - expected).norm() / expected.norm()
    assert error < 0.05
    assert sdnn.graph.input_scale == pytest.approx(1 / 255)


def test_a_module_is_compared_with_onnx_runtime_on_calibration_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Besides a random input; the middle frames of up to three sequences."""
    sequences = [moving(seed, 3) for seed in range(4)]
    compared: list[NDArray[Any]] = []

    def recorded(*arguments: Any) -> None:
        compared.extend(arguments[4].values())
        compare_with_onnx_runtime(*arguments)

    monkeypatch.setattr(onnx_reader, "compare_with_onnx_runtime", recorded)
    a2s.to_sdnn(exported(), sequences, options=ConvertOptions(thresholds=Fixed(0.25)))
    np.testing.assert_array_equal(compared, [sequences[i][1] for i in (0, 2, 3)])


def test_the_conversion_is_that_of_the_command(folder: Path) -> None:
    options = ConvertOptions(thresholds=Fixed(0.25))
    made = a2s.to_sdnn(a2s.from_onnx(folder / "model.onnx"), recorded(folder), options=options)
    written = a2s.load(folder / "sdnn")
    frames = torch.from_numpy(recorded(folder)[0])  # tensors are taken as arrays are
    ours = made.run(frames, keep_messages=True)
    theirs = written.run(frames, keep_messages=True)
    assert ours.messages is not None
    assert theirs.messages is not None
    assert all(map(torch.equal, ours.messages, theirs.messages))
    skipped = {"calibration_recordings", "group_name", "seconds"}
    assert made.report.model_dump(exclude=skipped) == written.report.model_dump(exclude=skipped)


def test_a_comparison_counts_as_evaluate_does(folder: Path) -> None:
    found = a2s.load(folder / "sdnn").compare(recorded(folder))
    options = EvaluateOptions(split="all", source=CAMERA)
    report = evaluate(folder / "sdnn", folder / "data", options).report
    assert report.ann is not None
    assert report.memoryless is not None
    assert report.sdnn is not None
    assert report.comparison is not None
    assert [row.name for row in found.rows] == ["ann", "ann, zeros skipped", "memoryless", "sdnn"]
    assert found["ann"].operations_per_frame == report.ann.all_macs_per_frame
    skipped = found["ann, zeros skipped"]
    assert skipped.operations_per_frame == pytest.approx(report.ann.nonzero_macs_per_frame)
    assert report.energy is not None
    assert found["ann"].energy == report.energy.ann  # the others count first frames here only
    sdnn = found["sdnn"].energy
    assert sdnn is not None
    operations = found["sdnn"].operations_per_frame
    assert sdnn.loihi_operations_uj == pytest.approx(operations * 23.6e-6)
    sustained = report.energy.sdnn
    assert sustained is not None
    operations = report.sdnn.sustained_synops_per_frame
    assert sustained.loihi_operations_uj == pytest.approx(operations * 23.6e-6)
    assert "Energy" not in found.table()
    assert max(map(len, found.table(energy=True).splitlines())) <= 80
    assert "Energy per frame, an estimate" in found.table(energy=True)
    assert found["memoryless"].operations_per_frame == report.memoryless.synops_per_frame
    assert found["sdnn"].operations_per_frame == report.sdnn.synops_per_frame
    assert found["sdnn"].messages_per_frame == report.sdnn.events_per_frame
    assert found["sdnn"].relative_error == report.comparison.heatmap_relative_error
    assert found["ann"].relative_error == 0
    table = found.table()
    assert max(map(len, table.splitlines())) <= 80
    assert "zeros skipped" in table


def test_labels_are_classes_or_points(sdnn: a2s.Sdnn) -> None:
    frames = moving(4)
    classifier = a2s.to_sdnn(exported(classes=True), moving(1))
    with torch.no_grad():
        chosen = module(classes=True)(torch.from_numpy(frames).float() / 255).argmax(dim=1)
    wrong = (chosen + 1) % 3
    assert classifier.compare(frames, chosen)["ann"].label_error == 0
    assert classifier.compare([frames], [wrong])["ann"].label_error == 1
    flat = sdnn.run(frames).outputs.flatten(2).argmax(dim=2)
    points = torch.stack((flat % 10 + 3, flat // 10 + 4), dim=-1).double()
    points[0, 0] = torch.nan
    assert sdnn.compare(frames, points)["sdnn"].label_error == pytest.approx(5)


def test_a_stream_is_a_run_frame_by_frame_and_goes_on_from_its_state(sdnn: a2s.Sdnn) -> None:
    frames = moving(5)
    expected = sdnn.run(frames).outputs
    stream = sdnn.stream()
    outputs = [stream.step(frame) for frame in frames[:3]]
    state = stream.state_dict()
    outputs += [stream.step(frame) for frame in frames[3:]]
    assert torch.equal(torch.stack(outputs), expected)
    other = sdnn.stream()
    other.load_state_dict(state)
    assert torch.equal(torch.stack([other.step(one) for one in frames[3:]]), expected[3:])
    other.load_state_dict(state | {"0.sent": state["0.sent"].double()})  # as after large sums
    assert torch.equal(torch.stack([other.step(one) for one in frames[3:]]), expected[3:])
    stream.reset()
    assert stream.frames == stream.messages == 0
    assert torch.equal(stream.step(frames[0]), expected[0])
    own = [stream.step(frame, copy=False) for frame in frames[1:3]]
    assert own[0] is own[1] or own[0].data_ptr() == own[1].data_ptr()
    assert torch.equal(own[1], expected[2])
    run = sdnn.run(frames[:3])
    assert stream.frames == 3
    assert stream.messages == int(run.events.sum())
    assert stream.operations == int(run.synops.sum())
    with pytest.raises(DataError, match="state is that of another network"):
        a2s.to_sdnn(exported(classes=True), moving(1)).stream().load_state_dict(state)


def test_what_is_saved_is_loaded_and_exported(sdnn: a2s.Sdnn, tmp_path: Path) -> None:
    sdnn.save(tmp_path / "sdnn")
    names = {"model.onnx", "sdnn.h5", "report.json", "network.net"}
    assert names <= {one.name for one in (tmp_path / "sdnn").iterdir()}
    again = a2s.load(tmp_path / "sdnn")
    assert torch.equal(again.run(moving(6)).outputs, sdnn.run(moving(6)).outputs)
    assert again.report == sdnn.report
    with pytest.raises(OutputError, match="exists already"):
        sdnn.save(tmp_path / "sdnn")
    again.save(tmp_path / "sdnn", force=True)
    again.export_netx(tmp_path / "own.net")
    written = (tmp_path / "sdnn" / "network.net").read_bytes()
    assert len(written) == (tmp_path / "own.net").stat().st_size


def test_operating_points_are_run_streamed_and_saved(sdnn: a2s.Sdnn, tmp_path: Path) -> None:
    sdnn.save(tmp_path / "sdnn")
    assert sdnn.points.engine is None
    with pytest.raises(UsageError, match="no operating point 'engine'"):
        sdnn.run(moving(6), point="engine")
    add_points(tmp_path / "sdnn")
    loaded = a2s.load(tmp_path / "sdnn")
    loaded.save(tmp_path / "again")
    three = a2s.load(tmp_path / "again")
    frames = moving(6)
    by_point = {name: three.run(frames, point=name) for name, _ in three.points}
    assert list(by_point) == ["lava", "engine", "memoryless"]
    assert len({int(result.synops.sum()) for result in by_point.values()}) == 3
    own, lava = by_point["engine"], by_point["lava"]
    assert torch.equal(three.run(frames).synops, own.synops)
    rows = three.compare(frames)
    names: tuple[PointName, ...] = ("memoryless", "lava", "engine")
    expected = [by_point[name].synops.sum() / len(frames) for name in names]
    assert [row.name for row in rows.rows[2:]] == ["memoryless", "sdnn", "mixed"]
    assert [row.operations_per_frame for row in rows.rows[2:]] == expected
    assert [row.name for row in sdnn.compare(frames).rows][-1] == "sdnn"
    assert torch.equal(lava.synops, sdnn.run(frames).synops)
    stream = three.stream()
    assert torch.equal(torch.stack([stream.step(one) for one in frames]), own.outputs)
    stream = three.stream(point="lava")
    assert torch.equal(torch.stack([stream.step(one) for one in frames]), lava.outputs)


@pytest.mark.lava
def test_the_other_backends_run_lavas_point(sdnn: a2s.Sdnn, tmp_path: Path) -> None:
    sdnn.save(tmp_path / "sdnn")
    add_points(tmp_path / "sdnn")
    three, frames = a2s.load(tmp_path / "sdnn"), moving(6)
    assert torch.equal(three.run(frames, backend="slayer").synops, sdnn.run(frames).synops)
    with pytest.raises(UsageError, match="run this network with --backend engine"):
        three.run(frames, backend="slayer", point="engine")


def test_the_report_is_shown_as_text_and_as_a_page(sdnn: a2s.Sdnn) -> None:
    table = sdnn.report.table()
    name = sdnn.report.layers[0].name
    assert name in table
    assert max(map(len, table.splitlines())) <= 80
    assert name in sdnn.report.html()
    assert "<html" in sdnn.report.html()


@pytest.mark.lava
def test_slayers_module_sends_what_the_engine_sends_and_learns(sdnn: a2s.Sdnn) -> None:
    frames = moving(7)
    trainable = sdnn.to_slayer()
    result = trainable(torch.from_numpy(frames).movedim(0, -1)[None])
    assert torch.equal(result.maps[0], sdnn.run(frames).outputs)
    result.maps.square().sum().backward()
    weights = [value for name, value in trainable.named_parameters() if name.endswith("weight")]
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in weights)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (moving(1).astype(np.float64), r"is float64; expected uint8 or float32, so convert it"),
        (moving(1)[0], r"frames are uint8 \[2, 16, 20\]; expected uint8"),
        (moving(1)[:0], "with one or more frames"),
        ([], "there are no frames"),
        (moving(1)[:, :1], "takes 2 channels; frames of sequence 0 have 1"),
        ([moving(1), moving(2)[:, :, 2:]], "frames of different shapes"),
    ],
)
def test_frames_that_cannot_calibrate_are_one_sentence(
    frames: Images | Sequence[Images], sentence: str
) -> None:
    with pytest.raises(Ann2SdnnError, match=sentence) as caught:
        a2s.to_sdnn(exported(), frames)
    assert "\n" not in str(caught.value)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="both choose thresholds"):
        options = ConvertOptions(thresholds=Fixed())
        a2s.to_sdnn(exported(), moving(1), budget_px=0.1, options=options)
    with pytest.raises(UsageError, match=r"options\.sweep"):
        a2s.to_sdnn(exported(), moving(1), options=ConvertOptions(sweep=True))


def test_labels_of_another_length_are_refused(sdnn: a2s.Sdnn) -> None:
    with pytest.raises(DataError, match="differ in length"):
        sdnn.compare(moving(1), np.zeros(3))


def test_a_budget_in_pixels_chooses_thresholds() -> None:
    confident = module()
    with torch.no_grad():
        last = confident[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight *= 10  # no displacement is measured where maps stay below 0.3
    network = a2s.from_torch(confident, torch.zeros(1, 2, 16, 20), input_scale=1 / 255)
    sdnn = a2s.to_sdnn(network, [moving(1), moving(2)], budget_px=0.5)
    assert sdnn.report.threshold_budget is not None
    assert sdnn.report.threshold_budget.budget_px == 0.5


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'lava', 'numpy', 'onnx', 'rich', 'pydantic', 'ann2sdnn.api'}"
    code = (
        f"import sys, ann2sdnn; print({heavy} & set(sys.modules), ann2sdnn.Sdnn.__name__,"
        " 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "Sdnn", "True"]


def test_the_package_lists_what_it_offers() -> None:
    assert all(getattr(a2s, name) for name in a2s.__all__)
    with pytest.raises(AttributeError, match="no attribute 'convert_everything'"):
        a2s.__getattr__("convert_everything")
