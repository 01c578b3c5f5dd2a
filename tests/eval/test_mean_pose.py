"""Whose labels the mean pose comes from, and that masked joints do not pull it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import Recording, RecordingName, open_recordings
from ann2sdnn.data.recordings.writer import recording_writer
from ann2sdnn.eval.measure.mean_pose import mean_pose

CENTRE_MM = np.array([0.0, 300.0, 1000.0])


def label(x_mm: float) -> NDArray[np.float64]:
    return np.repeat(np.add(CENTRE_MM, (x_mm, 0.0, 0.0))[:, None], 13, axis=1)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, ...]:
    """Subjects 1 and 2, standing at different places; the left foot of 1 is never labelled."""
    folder: Path = tmp_path_factory.mktemp("recordings")
    for subject, places_mm in ((1, (0.0, 200.0)), (2, (400.0,))):
        with recording_writer(folder, RecordingName(subject, 1, 1).stem) as writer:
            for place_mm in places_mm:
                xyz_mm = label(place_mm)
                if subject == 1:
                    xyz_mm[:, 12] = np.nan
                    xyz_mm[:, 0] = np.nan if place_mm else xyz_mm[:, 0]
                writer.append(np.zeros((260, 346, 4), np.uint8), xyz_mm)
    return open_recordings(folder)


def pixel(x_mm: float, channel: int) -> NDArray[np.int64]:
    return np.asarray(project_labels(label(x_mm)[None], channel).pixels[0, 0])


def test_it_comes_from_the_training_side(recordings: tuple[Recording, ...]) -> None:
    guess = mean_pose(recordings, recordings[1:], (2,))
    assert guess.source == "train"
    expected = (pixel(0.0, 2) + pixel(200.0, 2)) / 2
    np.testing.assert_allclose(guess.pixels[2][1], expected)
    # The head is labelled in one frame only.
    np.testing.assert_allclose(guess.pixels[2][0], pixel(0.0, 2))
    assert np.isnan(guess.pixels[2][12]).all()
    assert guess.predict(2, 5).shape == (5, 13, 2)


@pytest.mark.parametrize("evaluated", [slice(0, 1), slice(0, 2)])
def test_it_says_so_when_it_comes_from_the_evaluated_frames(
    recordings: tuple[Recording, ...], evaluated: slice
) -> None:
    guess = mean_pose(recordings, recordings[evaluated], (3,))
    assert guess.source == "evaluated"
    places_mm = (0.0, 200.0) if evaluated.stop == 1 else (0.0, 200.0, 400.0)
    expected = np.mean([pixel(place_mm, 3) for place_mm in places_mm], axis=0)
    np.testing.assert_allclose(guess.pixels[3][1], expected)
