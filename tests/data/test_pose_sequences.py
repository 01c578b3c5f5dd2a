"""Sequences: targets drawn by hand, pictures made smaller, recordings taking turns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import write_recordings

from ann2sdnn.data.recordings.options import PictureSize
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.recordings.sequences import (
    PoseSequence,
    RecordedSequences,
    draw_boxes,
    mean_target,
    smaller,
)
from ann2sdnn.support.errors import DataError, UsageError


def pixels_at(column: int, row: int) -> torch.Tensor:
    return torch.tensor([[[column, row]] * 13])


def test_a_box_is_25_ones_around_its_pixel() -> None:
    visible = torch.ones(1, 13, dtype=torch.bool)
    visible[0, 4] = False
    maps = draw_boxes(pixels_at(7, 5), visible, 12, 16)
    assert maps.shape == (1, 13, 12, 16)
    assert maps[0, 0].sum() == 25
    assert maps[0, 0, 3:8, 5:10].min() == 1
    assert maps[0, 4].sum() == 0


def test_a_box_at_the_border_is_cut_off() -> None:
    maps = draw_boxes(pixels_at(0, 11), torch.ones(1, 13, dtype=torch.bool), 12, 16)
    assert maps[0, 0].sum() == 3 * 3
    assert maps[0, 0, 9:, :3].min() == 1


def test_sequences_of_different_recordings_take_turns(tmp_path: Path) -> None:
    recordings = open_recordings(write_recordings(tmp_path / "data", subjects=2, frames=7))
    source = RecordedSequences(recordings, channel=2, length=3)
    assert len(source) == 4  # two of each, one frame left over
    whole = source.read(1)
    expected = recordings[1].frames([0, 1, 2], [2])[:, 0]
    np.testing.assert_allclose(whole.frames[0].movedim(-1, 0), expected / 255, atol=1e-6)
    later = source.read(2)
    expected = recordings[0].frames([3, 4, 5], [2])[:, 0]
    np.testing.assert_allclose(later.frames[0].movedim(-1, 0), expected / 255, atol=1e-6)
    assert later.targets.shape == (13, 260, 344, 3)


def test_a_crop_shows_the_same_as_the_whole_picture(tmp_path: Path) -> None:
    recordings = open_recordings(write_recordings(tmp_path / "data", subjects=1, frames=3))
    whole = RecordedSequences(recordings, channel=2, length=3).read(0)
    cut = RecordedSequences(recordings, 2, 3, PictureSize((128, 96))).read(0)
    assert cut.frames.shape == (1, 128, 96, 3)
    again = smaller(whole, PictureSize((128, 96)))
    assert torch.equal(cut.frames, again.frames)
    assert torch.equal(cut.targets, again.targets)
    assert cut.targets.sum() > 0


def test_shrinking_adds_squares_up_and_scales_by_three_deviations() -> None:
    frames = torch.zeros(1, 8, 8, 1)
    frames[0, 0, 0, 0], frames[0, 1, 1, 0] = 10 / 255, 30 / 255  # one square of 40
    frames[0, 6, 6, 0] = 60 / 255  # another of 60
    targets = torch.zeros(13, 8, 8, 1)
    targets[2, 5, 5, 0] = 1
    small = smaller(PoseSequence(frames, targets), PictureSize(shrink=2))
    deviation = 200**0.5  # n - 1: (10^2 + 10^2) / 1
    expected = np.zeros((4, 4))
    expected[0, 0] = int(min(255.0, 40 * 255 / (3 * deviation))) / 255
    expected[3, 3] = int(min(255.0, 60 * 255 / (3 * deviation))) / 255
    np.testing.assert_allclose(small.frames[0, :, :, 0], expected, atol=1e-6)
    assert small.targets[2, 2, 2, 0] == 1
    assert small.targets.sum() == 1


def test_the_mean_target_is_the_best_constant_answer(tmp_path: Path) -> None:
    recordings = open_recordings(write_recordings(tmp_path / "data", subjects=2, frames=4))
    source = RecordedSequences(recordings, 2, 2, PictureSize((64, 64), shrink=2), "gaussians")
    targets = torch.stack([source.read(index).targets for index in range(4)])
    mean = mean_target(source, range(4))
    assert mean.shape == (13, 64, 64)
    best = (targets - mean[None, ..., None]).square().mean()
    for shift in (-0.01, 0.01):
        assert best < (targets - mean[None, ..., None] - shift).square().mean()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (lambda: PictureSize((10, 12)), "multiples of 4"),
        (lambda: PictureSize(shrink=0), "--shrink 0"),
        (lambda: PictureSize((64, 64), shrink=8).window(260, 344), "cannot be cut out of 32x43"),
        (lambda: PictureSize(shrink=80).window(260, 344), "cannot be cut out of 3x4"),
    ],
)
def test_impossible_sizes_are_refused(size: object, message: str) -> None:
    assert callable(size)
    with pytest.raises(UsageError, match=message):
        size()


def test_recordings_shorter_than_a_sequence_are_refused(tmp_path: Path) -> None:
    recordings = open_recordings(write_recordings(tmp_path / "data", subjects=1, frames=3))
    with pytest.raises(DataError, match="no recording has 4 frames"):
        RecordedSequences(recordings, 2, 4)
