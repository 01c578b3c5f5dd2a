"""Networks with several outputs in `evaluate`, `compare` and `bench`: each output by itself."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from detector import converted_detector, sequences, write_frames
from numpy.typing import NDArray
from rich.console import Console

import ann2sdnn as a2s
from ann2sdnn.calibration.measure.outputs import relative_errors
from ann2sdnn.eval.bench.distance import measure_distances
from ann2sdnn.eval.bench.networks.registry import FLOAT32
from ann2sdnn.eval.bench.networks.subject import TimedNetwork, forget_nothing
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.render.document import print_evaluation
from ann2sdnn.eval.tasks.difference import OutputDifference
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.progress import SILENT

MAPS: Shape = (2, 16, 20)
SCORES: Shape = (3, 8, 10)
N_MAPS = 2 * 16 * 20
EVALUATED = 3

Floats = NDArray[np.float64]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tail"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted_detector(tmp_path_factory.mktemp("sdnn") / "sdnn", has_tail=request.param)


def outputs_of(folder: Path) -> dict[str, tuple[Floats, Floats]]:
    """The maps and scores [frames, values] of ANN and SDNN, before the tail."""
    sdnn = a2s.load(folder)
    ann, engine = FloatNetwork(sdnn.graph), Engine(sdnn.points.lava)
    joined: dict[str, list[torch.Tensor]] = {"ann": [], "sdnn": []}
    for frames in map(torch.from_numpy, sequences(EVALUATED, seed=40)):
        engine.reset()
        joined["ann"].append(ann(ann.encode(frames)))
        joined["sdnn"].append(engine.run(frames).outputs)
    flat = {name: torch.cat(parts).flatten(1).double().numpy() for name, parts in joined.items()}
    return {name: (values[:, :N_MAPS], values[:, N_MAPS:]) for name, values in flat.items()}


def relative(sdnn: Floats, ann: Floats) -> float:
    return float(np.linalg.norm(sdnn - ann) / np.linalg.norm(ann))


def after_tail(scores: Floats) -> Floats:
    places = np.exp(scores.reshape(len(scores), *SCORES))
    return np.asarray((places / places.sum(axis=1, keepdims=True)).reshape(len(scores), -1))


@pytest.mark.parametrize("labelled", [False, True])
def test_each_output_is_compared_and_none_is_taken_for_a_class(
    folder: Path, labelled: bool, tmp_path: Path
) -> None:
    data = write_frames(tmp_path / "data.npz", EVALUATED, seed=40, labelled=labelled)
    evaluation = evaluate(folder, data, EvaluateOptions(split="all"))
    report, found = evaluation.report, outputs_of(folder)
    assert report.task == "output"
    assert report.class_changed is None
    own = [relative(sdnn, ann) for sdnn, ann in zip(found["sdnn"], found["ann"], strict=True)]
    assert min(own) > 0.005, "nothing to measure"
    assert report.output_relative_error == pytest.approx(np.sqrt(np.mean(np.square(own))), rel=1e-4)
    assert report.tail is not None
    maps, scores = report.tail.outputs
    assert (maps.shape, scores.shape) == (MAPS, SCORES)
    assert maps.sdnn is not None
    assert scores.sdnn is not None
    assert maps.sdnn.relative_error == pytest.approx(own[0], rel=1e-4)
    if report.tail.operators:
        own[1] = relative(after_tail(found["sdnn"][1]), after_tail(found["ann"][1]))
    assert scores.sdnn.relative_error == pytest.approx(own[1], rel=1e-3)
    console = Console(width=80, file=io.StringIO(), record=True)
    print_evaluation(evaluation, console, last_line="Report: out")
    text = console.export_text()
    assert "Outputs of the file" in text
    assert ("after its tail (Softmax)" in text) == bool(report.tail.operators)
    assert "class" not in text
    assert f"{maps.sdnn.relative_error:.3g}" in text


def test_python_gets_each_output_by_its_name(folder: Path) -> None:
    """An output that the tail does not touch is a copy: ONNX Runtime gave memory of its own."""
    sdnn = a2s.load(folder)
    frames = np.concatenate(sequences(EVALUATED, seed=40))
    outputs = sdnn.run(frames).outputs
    maps, scores = sdnn.file_outputs(outputs).values()
    np.testing.assert_array_equal(maps.reshape(len(frames), -1), outputs[:, :N_MAPS, 0, 0].numpy())
    assert scores.shape == (len(frames), *SCORES)
    comparison = sdnn.compare(sequences(EVALUATED, seed=40))
    assert comparison.tail is not None
    assert [output.shape for output in comparison.tail.outputs] == [MAPS, SCORES]
    assert comparison["sdnn"].class_changed is None


def test_the_classify_task_is_refused(folder: Path, tmp_path: Path) -> None:
    data = write_frames(tmp_path / "data.npz", EVALUATED, labelled=True)
    sentence = r"outputs of shape \(2, 16, 20\) and \(3, 8, 10\); the task classify needs a single"
    with pytest.raises(ModelError, match=sentence):
        evaluate(folder, data, EvaluateOptions(split="all", task="classify"))


def test_a_small_output_counts_as_much_as_a_large_one() -> None:
    ann = torch.tensor([[100.0, 0.0, 1.0], [0.0, 100.0, 1.0]])[:, :, None, None]
    sdnn = torch.tensor([[100.0, 0.0, 1.5], [0.0, 100.0, 1.0]])[:, :, None, None]
    difference = OutputDifference([(2, 1, 1), (1, 1, 1)])
    difference.add("a", ann[:1], sdnn[:1])
    difference.add("b", ann[1:], sdnn[1:])
    # Of the second output 0.25 of an energy of 2, of the first nothing.
    assert difference.fields()["output_relative_error"] == pytest.approx((0.125 / 2) ** 0.5)
    curve = difference.curve()
    assert curve is not None
    assert curve[0] == 0
    assert curve[-1] == pytest.approx((0.25 / 2) ** 0.5)
    assert relative_errors(ann, sdnn, [(2, 1, 1), (1, 1, 1)]) == [
        pytest.approx((0.25 / 2) ** 0.5),
        0,
    ]


def test_bench_measures_the_error_in_the_same_way() -> None:
    ann = torch.tensor([100.0, 0.0, 1.0])[:, None, None]
    moved = torch.tensor([100.0, 0.0, 1.5])[:, None, None]
    networks = {
        FLOAT32: TimedNetwork(forget_nothing, lambda frames: iter([ann] * len(frames))),
        "moved": TimedNetwork(forget_nothing, lambda frames: iter([moved] * len(frames))),
    }
    frames = torch.zeros((3, 1, 2, 2), dtype=torch.uint8)
    distances = measure_distances(networks, frames, [(2, 1, 1), (1, 1, 1)], SILENT)
    assert distances["moved"].relative_error == pytest.approx((0.25 / 2) ** 0.5)
