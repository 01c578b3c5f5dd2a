"""The whole evaluation on two tiny recordings whose every number can be counted by hand.

The network copies the picture 13 times, then copies each copy (1x1 convolutions, exact on the
grid). A frame shows one bright pixel, which therefore is the answer for all joints. In one
recording it stands where the label is, in the other it moves 10 columns a frame.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from evaluations import read_evaluation
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.writer import recording_writer
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.render.verdict import verdict_of
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.spec.file import write_points, write_spec
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.points import OperatingPoints, with_point
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import DataError, ModelError, OutputError, UsageError
from ann2sdnn.support.files.writing import sha256

N_FRAMES = 3
STEP_COLUMNS = 10
XYZ_MM = np.repeat(np.array([0.0, 300.0, 1000.0])[:, None], 13, axis=1)
INPUT_GAIN = 16
GRID = Grid(6)
PIXELS = 260 * 344


def write_recording(folder: Path, subject: int, step_columns: int) -> None:
    with recording_writer(folder, f"S{subject}_session1_mov1") as writer:
        for index in range(N_FRAMES):
            frame = np.zeros((260, 346, 4), np.uint8)
            for channel in range(4):
                column, row = project_labels(XYZ_MM[None], channel).pixels[0, 0]
                frame[row, column + index * step_columns, channel] = 200
            writer.append(frame, XYZ_MM)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """S1 (the training side) stands still, S2 (the test side) moves."""
    folder = tmp_path_factory.mktemp("data")
    write_recording(folder, 1, 0)
    write_recording(folder, 2, STEP_COLUMNS)
    return folder


def weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    spread = np.ones((13, 1, 1, 1), np.float32)
    keep = np.eye(13, dtype=np.float32)[:, :, None, None]
    return spread, keep


def write_onnx(path: Path) -> None:
    spread, keep = weights()
    nodes = [
        helper.make_node("Conv", ["x", "spread"], ["z1"], name="spread"),
        helper.make_node("Relu", ["z1"], ["a1"], name="relu1"),
        helper.make_node("Conv", ["a1", "keep"], ["z2"], name="keep"),
        helper.make_node("Relu", ["z2"], ["y"], name="relu2"),
    ]
    size = (260, 344)
    graph = helper.make_graph(
        nodes,
        "copies",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 1, *size))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 13, *size))],
        [numpy_helper.from_array(spread, "spread"), numpy_helper.from_array(keep, "keep")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(path))


def make_spec(source_sha256: str, names: tuple[str, str], threshold: int = 0) -> Spec:
    """The network on the grid: a pixel of 1 is INPUT_GAIN message steps in every layer."""
    scale = np.full(13, INPUT_GAIN * GRID.message_step)
    layers = tuple(
        SpecLayer(
            name=name,
            geometry=Convolution(),
            weight=(64 * weight).astype(np.int16),
            bias=None,
            relu=True,
            pool=None,
            threshold=threshold,
            scale=scale,
            input_shape=(weight.shape[1], 260, 344),
        )
        for name, weight in zip(names, weights(), strict=True)
    )
    return Spec((1, 260, 344), 1.0, INPUT_GAIN, GRID, layers, source_sha256)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversion's folder."""
    made = tmp_path_factory.mktemp("conversion")
    write_onnx(made / "model.onnx")
    write_spec(made / "sdnn.h5", make_spec(sha256(made / "model.onnx"), ("spread", "keep")))
    return made


@pytest.fixture(scope="module")
def moving(folder: Path, data: Path) -> Evaluation:
    """The evaluation on the test side."""
    return evaluate(folder, data, EvaluateOptions())


def test_errors_are_the_distance_of_the_moving_pixel(moving: Evaluation) -> None:
    report = moving.report
    assert report.frames == 2 * N_FRAMES
    assert report.recordings == ("S2_session1_mov1",)
    assert report.ann is not None
    assert report.sdnn is not None
    assert report.memoryless is not None
    # 0, 10 and 20 px away from the label.
    for network in (report.ann, report.sdnn, report.memoryless):
        assert network.mpjpe_px == pytest.approx(10.0)
        assert network.per_joint_px["head"] == pytest.approx(10.0)
        assert network.per_channel_px == {"2": pytest.approx(10.0), "3": pytest.approx(10.0)}
        assert network.per_movement_px == {"session1_mov1": pytest.approx(10.0)}
        assert network.per_movement_mm == {"session1_mov1": network.mpjpe_mm}
        assert network.mpjpe_mm is not None
        assert network.mpjpe_mm == pytest.approx(report.ann.mpjpe_mm)
        assert 20.0 < network.mpjpe_mm < 500.0
    assert report.ann.offset_px == {"2": (10.0, 0.0), "3": (10.0, 0.0)}
    assert report.ann.mpjpe_px_without_offset == pytest.approx(20.0 / 3)


def test_work_of_a_moving_pixel_is_counted_by_hand(moving: Evaluation) -> None:
    report = moving.report
    assert report.ann is not None
    assert report.sdnn is not None
    assert report.memoryless is not None
    # One pixel meets 13 weights; each of its 13 copies meets one weight that is not zero.
    assert report.ann.all_macs_per_frame == (13 + 13 * 13) * PIXELS
    assert report.ann.macs_per_frame == 2 * 13 * PIXELS
    assert report.sdnn.dense_macs_per_frame == 2 * 13 * PIXELS
    assert report.ann.nonzero_macs_per_frame == 13 + 13
    assert report.ann.nonzero_activations_per_frame == 1 + 13 + 13
    assert report.memoryless.synops_per_frame == 13 + 13
    assert report.memoryless.events_per_frame == 1 + 13 + 13
    # First frame of a run: as memoryless. Then twice that: the old pixel goes, the new one comes.
    in_a_run = (1 + 2 + 2) / N_FRAMES
    assert report.sdnn.synops_per_frame == pytest.approx(26 * in_a_run)
    assert report.sdnn.events_per_frame == pytest.approx(27 * in_a_run)
    assert report.sdnn.input_events_per_frame == pytest.approx(in_a_run)
    # The first frames are stated by themselves; after them every frame costs the same.
    assert report.sdnn.sustained_synops_per_frame == 2 * 26
    assert report.sdnn.sustained_events_per_frame == 2 * 27
    assert report.sdnn.sustained_input_events_per_frame == 2
    assert report.sdnn.first_frame_synops == 26
    assert report.memoryless.sustained_synops_per_frame == 26
    assert report.memoryless.sustained_events_per_frame == 27
    assert report.memoryless.first_frame_synops == 26
    assert report.ann.sustained_nonzero_macs_per_frame == 26


def test_layers_stand_side_by_side(moving: Evaluation) -> None:
    spread, keep = moving.report.layers
    assert (spread.name, keep.name) == ("spread", "keep")
    assert spread.neurons == 13 * PIXELS
    assert spread.ann_density == pytest.approx(1 / PIXELS)
    assert spread.event_density == pytest.approx(5 / 3 / PIXELS)
    assert keep.all_macs_per_frame == 13 * 13 * PIXELS
    assert keep.macs_per_frame == 13 * PIXELS
    assert keep.nonzero_macs_per_frame == 13
    assert keep.memoryless_synops_per_frame == 13
    assert keep.synops_per_frame == pytest.approx(13 * 5 / 3)
    assert keep.threshold == 0


def test_an_exact_conversion_moves_nothing_and_loses_on_moving_pixels(moving: Evaluation) -> None:
    report = moving.report
    comparison = report.comparison
    assert comparison is not None
    assert comparison.n_joints == 13 * 2 * N_FRAMES
    assert comparison.displacement_px_mean == 0.0
    assert comparison.heatmap_relative_error == 0.0
    assert comparison.displacement_histogram is not None
    assert comparison.displacement_histogram.counts[0] == comparison.n_joints
    assert comparison.synops_reduction_vs_nonzero == pytest.approx(3 / 5)
    assert comparison.synops_reduction_vs_memoryless == pytest.approx(3 / 5)
    assert comparison.best == "sdnn"
    assert comparison.best_reduction_vs_dense == pytest.approx((13 + 13 * 13) * PIXELS / 52)
    assert comparison.best_reduction_vs_nonzero == pytest.approx(1 / 2)
    assert comparison.best_reduction_vs_memoryless == pytest.approx(1 / 2)
    (sentence,) = verdict_of(report)
    assert "2 times more than the ANN that skips zeros and 2 times more than the mem" in sentence
    assert report.baseline_mean_pose_from == "train"
    assert report.baseline_mean_pose_px == pytest.approx(0.0)
    assert any("mean pose" in warning for warning in report.warnings)


def test_a_still_picture_costs_one_frame_only(folder: Path, data: Path) -> None:
    report = evaluate(folder, data, EvaluateOptions(split="train")).report
    assert report.sdnn is not None
    assert report.comparison is not None
    assert report.sdnn.synops_per_frame == pytest.approx(26 / N_FRAMES)
    assert report.sdnn.mpjpe_px == 0.0
    assert report.comparison.synops_reduction_vs_memoryless == pytest.approx(N_FRAMES)
    assert not any("loses" in warning for warning in report.warnings)
    assert report.baseline_mean_pose_from == "evaluated"


def test_the_only_frame_of_a_sequence_counts_as_sustained(folder: Path, data: Path) -> None:
    options = EvaluateOptions(source=Dhp19Options((3,)), max_frames=1)
    report = evaluate(folder, data, options).report
    assert report.frames == 1
    assert report.sdnn is not None
    assert report.ann is not None
    assert report.sdnn.sustained_synops_per_frame == report.sdnn.first_frame_synops == 26
    assert report.ann.sustained_nonzero_macs_per_frame == 26


def test_the_engines_and_the_memoryless_point_run_beside_lavas(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    lava = make_spec(sha256(tmp_path / "model.onnx"), ("spread", "keep"))
    # The copies are memoryless: their receiver gets 13 messages per frame, not 26. The memoryless
    # point sends nothing, because its thresholds are never reached.
    write_points(
        tmp_path / "sdnn.h5",
        OperatingPoints(
            lava,
            with_point(lava, [0, 0], [False, True], input_is_stateful=True),
            with_point(lava, [64, 64], [False, False], input_is_stateful=False),
        ),
    )
    report = evaluate(tmp_path, data, EvaluateOptions()).report
    assert report.sdnn is not None
    assert report.mixed is not None
    assert report.memoryless is not None
    assert report.comparison is not None
    assert report.sdnn.sustained_synops_per_frame == 2 * 26
    assert report.mixed.sustained_synops_per_frame == 2 * 13 + 13
    assert report.mixed.first_frame_synops == 26
    assert report.mixed.displacement_px_mean == 0.0
    assert report.mixed.displacement_capped_px == 0.0
    assert report.mixed.backend == "engine"
    assert [layer.mixed_synops_per_frame for layer in report.layers] == [
        pytest.approx(13 * 5 / 3),
        13,
    ]
    assert report.memoryless.from_point == "memoryless"
    assert report.memoryless.sustained_synops_per_frame == 13
    assert report.memoryless.moved_over_5px == 1.0
    assert report.memoryless.displacement_px_mean is not None
    assert report.memoryless.displacement_px_mean > 5
    assert report.memoryless.displacement_capped_px == 5.0
    assert report.comparison.best == "mixed"
    assert report.comparison.best_reduction_vs_nonzero == pytest.approx(26 / 39)


def test_the_capped_displacement_has_an_interval_over_recordings(
    folder: Path, data: Path, moving: Evaluation
) -> None:
    assert moving.report.sdnn is not None
    assert moving.report.sdnn.displacement_capped_px == 0.0
    assert moving.report.sdnn.displacement_capped_px_interval is None  # of one recording
    both = evaluate(folder, data, EvaluateOptions(split="all")).report
    assert both.sdnn is not None
    assert both.sdnn.displacement_capped_px_interval == (0.0, 0.0)


def test_max_frames_and_one_camera(folder: Path, data: Path) -> None:
    options = EvaluateOptions(split="all", source=Dhp19Options((3,)), max_frames=2)
    report = evaluate(folder, data, options).report
    assert report.frames == 2
    assert report.ann is not None
    assert report.ann.mpjpe_mm is None
    assert report.baseline_mean_pose_mm is None


def test_only_what_is_compared_runs(folder: Path, data: Path) -> None:
    ann_only = evaluate(folder, data, EvaluateOptions(compare=("ann",))).report
    assert ann_only.ann is not None
    assert ann_only.ann.mpjpe_px == pytest.approx(10.0)
    assert (ann_only.sdnn, ann_only.memoryless, ann_only.comparison) == (None, None, None)
    assert ann_only.layers[0].events_per_frame is None
    sdnn_only = evaluate(folder, data, EvaluateOptions(compare=("sdnn",))).report
    assert sdnn_only.sdnn is not None
    assert sdnn_only.memoryless is not None
    assert sdnn_only.sdnn.mpjpe_px == pytest.approx(10.0)
    assert sdnn_only.memoryless.displacement_px_mean is None
    assert (sdnn_only.ann, sdnn_only.comparison) == (None, None)
    assert sdnn_only.layers[0].ann_density is None


def test_a_layer_the_conversion_added_has_no_ann_numbers(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    spec = make_spec(sha256(tmp_path / "model.onnx"), ("spread", "relay"))
    write_spec(tmp_path / "sdnn.h5", spec)
    report = evaluate(tmp_path, data, EvaluateOptions(max_frames=2)).report
    relay = report.layers[1]
    assert (relay.ann_density, relay.macs_per_frame, relay.nonzero_macs_per_frame) == (None,) * 3
    assert relay.synops_per_frame == 13


def test_too_high_a_threshold_shows_as_displacement(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    # 200 pixel units are 0.78 scaled; a threshold of 1 is never reached.
    spec = make_spec(sha256(tmp_path / "model.onnx"), ("spread", "keep"), threshold=64)
    write_spec(tmp_path / "sdnn.h5", spec)
    evaluation = evaluate(tmp_path, data, EvaluateOptions(max_frames=4))
    report = evaluation.report
    assert evaluation.examples[-1].title.endswith("(SDNN furthest off)")
    assert report.comparison is not None
    assert report.comparison.heatmap_relative_error == pytest.approx(1.0)
    assert report.comparison.moved_over_5px == 1.0
    assert any("not the same network" in warning for warning in report.warnings)


@pytest.mark.lava
def test_slayer_counts_the_same(folder: Path, data: Path, moving: Evaluation) -> None:
    slayer = evaluate(folder, data, EvaluateOptions(backend="slayer")).report
    assert slayer.sdnn is not None
    assert moving.report.sdnn is not None
    assert slayer.sdnn.backend == "slayer"
    assert slayer.sdnn.synops_per_frame == moving.report.sdnn.synops_per_frame
    assert slayer.sdnn.events_per_frame == moving.report.sdnn.events_per_frame
    assert slayer.sdnn.mpjpe_px == moving.report.sdnn.mpjpe_px


@pytest.mark.slow
@pytest.mark.lava
def test_lava_answers_the_same_and_says_what_it_counted(
    folder: Path, data: Path, moving: Evaluation
) -> None:
    """Without pooling the lowered network is the network itself, so even the counts are equal."""
    lava = evaluate(folder, data, EvaluateOptions(backend="lava")).report
    assert lava.sdnn is not None
    assert moving.report.sdnn is not None
    assert (lava.sdnn.backend, lava.sdnn.counts_of) == ("lava", "lowered")
    assert lava.sdnn.mpjpe_px == moving.report.sdnn.mpjpe_px
    assert lava.sdnn.synops_per_frame == moving.report.sdnn.synops_per_frame
    assert lava.sdnn.events_per_frame == moving.report.sdnn.events_per_frame
    assert lava.comparison == moving.report.comparison
    assert any("lava-nc runs the lowered network" in warning for warning in lava.warnings)
    assert moving.report.sdnn.counts_of == "converted"


def test_files_are_written_and_not_overwritten(folder: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = EvaluateOptions(max_frames=2, out=out)
    written = evaluate(folder, data, options)
    names = sorted(path.name for path in out.iterdir())
    assert names == [".ann2sdnn", "evaluation.json", "poses.png", "report.html"]
    assert read_evaluation(out / "evaluation.json") == written.report
    stored = json.loads((out / "evaluation.json").read_text())
    assert stored["schema"] == 1
    assert {"mpjpe_px", "mpjpe_mm", "macs_per_frame"} <= stored["ann"].keys()
    with pytest.raises(OutputError, match="--force"):
        evaluate(folder, data, options)
    evaluate(folder, data, EvaluateOptions(max_frames=2, out=out, force=True))


@pytest.mark.parametrize("missing", ["model.onnx", "sdnn.h5"])
def test_an_incomplete_folder_is_refused(
    folder: Path, data: Path, tmp_path: Path, missing: str
) -> None:
    with pytest.raises(ModelError, match="not a folder"):
        evaluate(tmp_path / "nowhere", data, EvaluateOptions())
    for name in {"model.onnx", "sdnn.h5"} - {missing}:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(ModelError, match=f"{missing} is missing"):
        evaluate(tmp_path, data, EvaluateOptions())


def test_a_spec_of_another_network_is_refused(folder: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    write_spec(tmp_path / "sdnn.h5", make_spec("0" * 64, ("spread", "keep")))
    with pytest.raises(ModelError, match="another network"):
        evaluate(tmp_path, data, EvaluateOptions())


def test_data_without_recordings_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no frames; expected DHP19 recordings"):
        evaluate(folder, tmp_path, EvaluateOptions())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compare": ("snn",)}, "snn"),
        ({"compare": ()}, "nothing"),
        ({"backend": "tpu"}, "engine, slayer or lava"),
        ({"split": "testing"}, "testing"),
        ({"task": "guess"}, "--task guess; expected output, regress, classify or pose"),
        ({"max_frames": 0}, "--frames 0; expected a whole number from 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        EvaluateOptions(**options)  # type: ignore[arg-type]


def test_examples_show_what_was_answered(moving: Evaluation) -> None:
    # Evenly spaced over the six pictures; none is furthest off, as nothing moved.
    shown = [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
    assert [one.title for one in moving.examples] == [
        f"S2_session1_mov1, frame {frame}, camera {channel}" for channel, frame in shown
    ]
    example = moving.examples[0]
    assert example.frame.shape == (260, 344)
    assert example.ann is not None
    assert example.sdnn is not None
    column, row = example.ann.pixels[0]
    assert example.frame[row, column] == 200
    np.testing.assert_array_equal(example.ann.pixels, example.sdnn.pixels)
    assert example.ann.shown.all()


def test_the_film_has_the_first_sequence_in_order_and_its_messages(moving: Evaluation) -> None:
    film = moving.film
    assert film is not None
    assert [one.title for one in film.frames] == [
        f"S2_session1_mov1, frame {frame}, camera 2" for frame in range(N_FRAMES)
    ]
    assert film.sends == ("input", "spread", "keep")
    # One pixel comes, then one goes and one comes; each has 13 copies in both layers.
    changes = np.array([[1], [2], [2]])
    np.testing.assert_allclose(film.shares * PIXELS, changes @ [[1, 1, 1]])


def test_without_the_sdnn_there_is_no_film(folder: Path, data: Path) -> None:
    assert evaluate(folder, data, EvaluateOptions(compare=("ann",))).film is None
