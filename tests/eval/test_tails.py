"""What follows the SDNN in its file runs on the host, and the file's own outputs are compared."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from labelled import quarters, write_quarter_network
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.render.document import print_evaluation
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.support.errors import DataError

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node
N_SEQUENCES, LENGTH = 8, 5
LOGITS = "t3"  # of the quarter network


def with_tail(
    path: Path,
    nodes: Sequence[Any],
    outputs: Mapping[str, tuple[int, int]],
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """The quarter network with ``nodes`` at its end, and ``outputs`` of these types and axes."""
    model = onnx.load(str(write_quarter_network(path)))
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in (constants or {}).items()
    )
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, kind, [None] * axes)
        for name, (kind, axes) in outputs.items()
    )
    onnx.save(model, str(path))
    return path


def converted(model: Path, folder: Path) -> Path:
    """``model`` converted with thresholds so high that classes change."""
    frames, _ = quarters(8, LENGTH, seed=1)
    np.savez(folder / "calibration.npz", frames=frames.reshape(-1, 1, 8, 8), lengths=[LENGTH] * 8)
    options = ConvertOptions(RateDistortion(budget_error=0.5))
    convert(model, folder / "calibration.npz", folder / "sdnn", options)
    return folder / "sdnn"


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    return quarters(N_SEQUENCES, LENGTH, seed=2)[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled frames."""
    path = tmp_path_factory.mktemp("data") / "data.npz"
    frames, kinds = quarters(N_SEQUENCES, LENGTH, seed=2)
    flat = frames.reshape(-1, 1, 8, 8)
    np.savez(path, frames=flat, labels=kinds.reshape(-1), lengths=[LENGTH] * N_SEQUENCES)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose file ends with probabilities, the class and the two best classes."""
    folder = tmp_path_factory.mktemp("tails")
    nodes = [
        node("Softmax", [LOGITS], ["p"], axis=1),
        node("ArgMax", ["p"], ["class"], axis=1, keepdims=0),
        node("TopK", ["p", "two"], ["best", "places"]),
    ]
    outputs = {"p": (FLOAT, 2), "class": (INT64, 1), "places": (INT64, 2)}
    model = with_tail(folder / "model.onnx", nodes, outputs, {"two": np.array([2])})
    return converted(model, folder)


def logits_of(folder: Path, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Logits [S * T, 4] of ANN and SDNN, each sequence from a reset state."""
    sdnn = a2s.load(folder)
    ann, engine = FloatNetwork(sdnn.graph), Engine(sdnn.points.lava)
    logits: dict[str, list[NDArray[np.float64]]] = {"ann": [], "sdnn": []}
    for sequence in torch.from_numpy(frames):
        engine.reset()
        logits["ann"].append(ann(ann.encode(sequence)).flatten(1).numpy().astype(float))
        logits["sdnn"].append(engine.run(sequence).outputs.flatten(1).numpy().astype(float))
    return {name: np.concatenate(parts) for name, parts in logits.items()}


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def printed(evaluation: Evaluation) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    print_evaluation(evaluation, console, last_line="Report: out")
    return console.export_text()


def test_the_outputs_of_the_file_are_compared(
    folder: Path, data: Path, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    options = EvaluateOptions(split="all", out=tmp_path / "out")
    evaluation = evaluate(folder, data, options)
    report, logits = evaluation.report, logits_of(folder, frames)
    tail = report.tail
    assert tail is not None
    assert (tail.tensors, tail.operators) == ((LOGITS,), ("Softmax", "ArgMax", "TopK"))
    outputs = {output.name: output for output in tail.outputs}
    assert [(x.type, x.shape) for x in tail.outputs] == [
        ("float32", (4,)),
        ("int64", ()),
        ("int64", (2,)),
    ]
    ann, sdnn = (softmax(logits[name]) for name in ("ann", "sdnn"))
    error = np.linalg.norm(sdnn - ann) / np.linalg.norm(ann)
    assert outputs["p"].sdnn is not None
    assert error > 0.01, "nothing to measure"
    assert outputs["p"].sdnn.relative_error == pytest.approx(error, rel=1e-4)
    assert outputs["p"].sdnn.changed_frames is None
    # Labels are compared with the classes that the file answers with.
    assert report.task == "classify"
    assert report.class_changed
    assert outputs["class"].sdnn is not None
    assert outputs["class"].sdnn.changed_frames == pytest.approx(report.class_changed)
    assert outputs["class"].memoryless is not None
    places = [np.argsort(-values, axis=1, kind="stable")[:, :2] for values in (ann, sdnn)]
    differs = places[0] != places[1]
    assert outputs["places"].sdnn is not None
    assert outputs["places"].sdnn.changed_elements == pytest.approx(differs.mean())
    assert outputs["places"].sdnn.changed_frames == pytest.approx(differs.any(axis=1).mean())
    assert outputs["places"].sdnn.other_shape == 0
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["tail"]["outputs"][0]["sdnn"]["relative_error"] == pytest.approx(error, rel=1e-4)
    for text in (printed(evaluation), (tmp_path / "out" / "report.html").read_text("utf-8")):
        assert "Outputs of the file, after its tail (Softmax, ArgMax, TopK)" in text
        assert f"the tail follows the tensor {LOGITS}" in text
        assert "40 frames of 8 sequences (split: all)" in text
        assert f"{outputs['p'].sdnn.relative_error:.3g}" in text
    assert max(map(len, printed(evaluation).splitlines())) <= 80


@pytest.mark.lava
def test_every_backend_gets_the_tail(folder: Path, data: Path) -> None:
    reports = [
        evaluate(folder, data, EvaluateOptions(max_frames=10, backend=backend)).report.tail
        for backend in ("engine", "slayer")
    ]
    assert reports[0] is not None
    assert reports[0].outputs[0].sdnn is not None
    assert reports[0] == reports[1]


def test_python_gets_the_outputs_of_the_file(folder: Path, frames: NDArray[np.uint8]) -> None:
    sdnn = a2s.load(folder)
    result = sdnn.run(frames[0], point="lava")
    found = sdnn.file_outputs(result.outputs)
    expected = softmax(logits_of(folder, frames[:1])["sdnn"])
    np.testing.assert_allclose(found["p"], expected, atol=1e-5)
    assert found["class"].dtype == np.int64
    np.testing.assert_array_equal(found["class"], expected.argmax(axis=1))
    # A stream's output is one frame.
    stream = sdnn.stream(point="lava")
    (first,) = sdnn.file_outputs(stream.step(frames[0, 0]))["p"]
    np.testing.assert_allclose(first, expected[0], atol=1e-5)
    comparison = sdnn.compare(list(frames))
    assert comparison.tail is not None
    assert [output.name for output in comparison.tail.outputs] == ["p", "class", "places"]
    assert "after its tail (Softmax, ArgMax, TopK)" in comparison.table()
    with pytest.raises(DataError, match=r"outputs are \[5, 3, 1, 1\]; expected .* \[T, 4, 1, 1\]"):
        sdnn.file_outputs(result.outputs[:, :3])


def test_a_file_that_ends_with_the_sdnn_answers_in_its_own_arrangement(
    frames: NDArray[np.uint8], tmp_path: Path, data: Path
) -> None:
    folder = converted(write_quarter_network(tmp_path / "model.onnx"), tmp_path)
    sdnn = a2s.load(folder)
    outputs = sdnn.run(frames[0]).outputs
    (found,) = sdnn.file_outputs(outputs).values()
    np.testing.assert_array_equal(found, outputs.flatten(1).numpy())
    assert sdnn.compare(frames[0]).tail is None
    assert evaluate(folder, data, EvaluateOptions()).report.tail is None


def test_frames_may_answer_with_different_numbers_of_values(
    data: Path, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    """As detectors do; the elements of such frames are not compared."""
    nodes = [
        node("Greater", [LOGITS, "limit"], ["large"]),
        node("NonZero", ["large"], ["places"]),
        node("Transpose", ["places"], ["boxes"]),
    ]
    model = with_tail(
        tmp_path / "model.onnx", nodes, {"boxes": (INT64, 2)}, {"limit": np.array(0.4, np.float32)}
    )
    folder = converted(model, tmp_path)
    report = evaluate(folder, data, EvaluateOptions(split="all")).report
    logits = logits_of(folder, frames)
    large = {name: values > 0.4 for name, values in logits.items()}
    other = large["ann"].sum(axis=1) != large["sdnn"].sum(axis=1)
    changed = (large["ann"] != large["sdnn"]).any(axis=1)
    assert report.tail is not None
    (output,) = report.tail.outputs
    assert output.shape is None
    assert output.sdnn is not None
    assert 0 < other.mean() < changed.mean() < 1, "nothing to tell apart"
    assert output.sdnn.other_shape == pytest.approx(other.mean())
    assert output.sdnn.changed_frames == pytest.approx(changed.mean())


def test_a_tail_that_fails_is_a_warning(data: Path, tmp_path: Path) -> None:
    """The networks are compared all the same."""
    nodes = [
        node("ArgMax", [LOGITS], ["class"], axis=1, keepdims=0),
        node("Sub", ["last", "class"], ["index"]),
        node("Gather", ["names", "index"], ["y"]),
    ]
    # Names of two classes only; a random input, which a network is compared on, is of one of them.
    constants = {"last": np.array(3), "names": np.array([7, 8])}
    model = with_tail(tmp_path / "model.onnx", nodes, {"y": (INT64, 1)}, constants)
    report = evaluate(converted(model, tmp_path), data, EvaluateOptions()).report
    assert report.tail is not None
    assert report.tail.outputs == ()
    (warning,) = (x for x in report.warnings if "tail" in x)
    assert warning.startswith("The file's own outputs were not compared: ONNX Runtime cannot run")
    assert report.accuracy is not None
