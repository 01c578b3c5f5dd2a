"""The 3D error: points seen by both front cameras meet where they came from."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import camera
from ann2sdnn.data.pose.labels import ProjectedLabels, project_labels
from ann2sdnn.data.recordings.recording import Recording, RecordingName
from ann2sdnn.data.sources.dhp19 import FrameRun
from ann2sdnn.eval.tasks.pose.millimetres import TriangulationError

N_FRAMES = 4


@pytest.fixture
def xyz_mm() -> NDArray[np.float64]:
    """Labels [4, 3, 13] that both front cameras see."""
    generator = np.random.default_rng(3)
    centre = np.array([0.0, 300.0, 1000.0])[:, None]
    return np.asarray(centre + generator.uniform(-300, 300, (N_FRAMES, 3, 13)))


def run_of(channel: int, movement: int = 1) -> FrameRun:
    name = RecordingName(1, 1, movement)
    recording = Recording(name, Path(name.frames_file), Path(name.labels_file), N_FRAMES)
    return FrameRun(recording, channel, 0, N_FRAMES)


def exact_pixels(xyz_mm: NDArray[np.float64], channel: int) -> NDArray[np.float64]:
    return camera(channel).project(np.moveaxis(xyz_mm, 1, 2))


def test_exact_points_have_no_error(xyz_mm: NDArray[np.float64]) -> None:
    error = TriangulationError()
    for channel in (2, 3):
        labels = project_labels(xyz_mm, channel)
        assert labels.visible.all()
        error.add(run_of(channel), exact_pixels(xyz_mm, channel), labels, xyz_mm)
    assert error.result().mpjpe_mm == pytest.approx(0.0, abs=1e-6)


def test_labels_shifted_by_a_known_vector_are_off_by_its_length(
    xyz_mm: NDArray[np.float64],
) -> None:
    error = TriangulationError()
    elsewhere = xyz_mm + np.array([30.0, 0.0, 40.0])[:, None]
    for channel in (3, 2):
        labels = project_labels(xyz_mm, channel)
        error.add(run_of(channel), exact_pixels(elsewhere, channel), labels, xyz_mm)
    result = error.result()
    assert result.mpjpe_mm == pytest.approx(50.0, abs=1e-6)
    assert result.per_joint_mm == pytest.approx((50.0,) * 13, abs=1e-6)


def test_each_movement_has_its_own_error(xyz_mm: NDArray[np.float64]) -> None:
    error = TriangulationError()
    for movement, shift in ((2, (30.0, 0.0, 40.0)), (1, (0.0, 12.0, 5.0))):
        elsewhere = xyz_mm + np.array(shift)[:, None]
        for channel in (2, 3):
            labels = project_labels(xyz_mm, channel)
            run = run_of(channel, movement)
            error.add(run, exact_pixels(elsewhere, channel), labels, xyz_mm)
    result = error.result()
    assert result.per_movement_mm == {
        "session1_mov1": pytest.approx(13.0, abs=1e-6),
        "session1_mov2": pytest.approx(50.0, abs=1e-6),
    }
    assert result.mpjpe_mm == pytest.approx(31.5, abs=1e-6)


def test_a_joint_counts_only_where_both_cameras_see_it(xyz_mm: NDArray[np.float64]) -> None:
    error = TriangulationError()
    for channel in (2, 3):
        pixels = exact_pixels(xyz_mm, channel)
        seen = project_labels(xyz_mm, channel)
        visible = seen.visible.copy()
        if channel == 3:
            visible[:, 5] = False
            pixels[:, 5] += 100.0
        error.add(run_of(channel), pixels, ProjectedLabels(seen.pixels, visible), xyz_mm)
    result = error.result()
    assert result.per_joint_mm[5] is None
    assert result.mpjpe_mm == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("runs", [[(2, 1)], [(2, 1), (3, 2)], [(0, 1), (1, 1)]])
def test_without_both_front_cameras_of_one_recording_there_is_no_number(
    xyz_mm: NDArray[np.float64], runs: list[tuple[int, int]]
) -> None:
    error = TriangulationError()
    for channel, movement in runs:
        labels = project_labels(xyz_mm, channel)
        error.add(run_of(channel, movement), exact_pixels(xyz_mm, channel), labels, xyz_mm)
    assert error.result().mpjpe_mm is None
    assert error.result().per_joint_mm == (None,) * 13
    assert set(error.result().per_movement_mm.values()) <= {None}
