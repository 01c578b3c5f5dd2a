"""Whose labels the mean pose comes from, and that masked joints do not pull it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.recordings.writer import recording_writer
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.data.sources.frames import PoseFrames
from ann2sdnn.eval.measure.run import baseline_sequences
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.tasks.pose.mean_pose import MeanPose
from ann2sdnn.eval.tasks.task import BaselineSide

CENTRE_MM = np.array([0.0, 300.0, 1000.0])


def label(x_mm: float) -> NDArray[np.float64]:
    return np.repeat(np.add(CENTRE_MM, (x_mm, 0.0, 0.0))[:, None], 13, axis=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    return folder


def pixel(x_mm: float, channel: int) -> NDArray[np.int64]:
    return np.asarray(project_labels(label(x_mm)[None], channel).pixels[0, 0])


def mean_pose(data: Path, split: Side, channel: int) -> tuple[MeanPose, BaselineSide]:
    options = EvaluateOptions(split=split, source=Dhp19Options((channel,)), max_frames=1)
    sequences, side = baseline_sequences(data, options)
    return MeanPose([one for one in sequences if isinstance(one, PoseFrames)]), side


def test_it_comes_from_the_training_side(data: Path) -> None:
    guess, side = mean_pose(data, "test", 2)
    assert side == "train"
    expected = (pixel(0.0, 2) + pixel(200.0, 2)) / 2
    np.testing.assert_allclose(guess.pixels[2][1], expected)
    # The head is labelled in one frame only.
    np.testing.assert_allclose(guess.pixels[2][0], pixel(0.0, 2))
    assert np.isnan(guess.pixels[2][12]).all()
    assert guess.predict(2, 5).shape == (5, 13, 2)


@pytest.mark.parametrize(
    ("split", "places_mm"), [("train", (0.0, 200.0)), ("all", (0.0, 200.0, 400.0))]
)
def test_it_says_so_when_it_comes_from_the_evaluated_frames(
    data: Path, split: Side, places_mm: tuple[float, ...]
) -> None:
    guess, side = mean_pose(data, split, 3)
    assert side == "evaluated"
    expected = np.mean([pixel(place_mm, 3) for place_mm in places_mm], axis=0)
    np.testing.assert_allclose(guess.pixels[3][1], expected)
