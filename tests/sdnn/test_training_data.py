"""Runs to train on: consecutive frames, one window, labels that follow it, the same again."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from recordings import write_recordings

from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import Recording, open_recordings
from ann2sdnn.data.recordings.samples import MIRRORED_JOINTS, Augmentation
from ann2sdnn.data.sources.dhp19 import FrameRun, camera_frames
from ann2sdnn.sdnn.training.batches import Batch, TrainingRuns
from ann2sdnn.support.errors import UsageError

WINDOW = Augmentation(crop=(96, 64))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, ...]:
    folder = tmp_path_factory.mktemp("runs")
    return open_recordings(write_recordings(folder, subjects=2, frames=7))


def front(recordings: Sequence[Recording]) -> tuple[FrameRun, ...]:
    """The sequences of camera 2."""
    return camera_frames(recordings, (2,))


def only(batches: TrainingRuns, epoch: int = 0) -> Batch:
    (batch,) = batches.batches(epoch, len(batches))
    return batch


def test_a_window_shows_consecutive_frames_of_one_recording(
    recordings: tuple[Recording, ...],
) -> None:
    batch = only(TrainingRuns(front(recordings[:1]), 4, WINDOW, seed=1))
    assert batch.frames.shape == (1, 1, 96, 64, 4)
    frames = recordings[0].frames(range(7), (2,))[:, 0]
    labels = project_labels(recordings[0].labels(range(7)), 2)
    shown = batch.frames[0, 0].movedim(-1, 0).numpy()
    fitting = []
    for start in range(4):
        offset = labels.pixels[start : start + 4] - batch.pixels[0].numpy()
        left, top = (int(x) for x in offset[0, 0])
        if (offset == offset[0, 0]).all():
            window = frames[start : start + 4, top : top + 96, left : left + 64]
            fitting.append(bool((window == shown).all()))
    assert fitting == [True], "one place in the recording has these joints and this picture"
    assert int(shown.astype(np.int64).sum()) > 0


def test_a_mirrored_run_is_mirrored_as_a_whole(recordings: tuple[Recording, ...]) -> None:
    # One of a few epochs mirrors; the same window without it is its mirror image.
    mirrored = TrainingRuns(front(recordings[:1]), 4, replace(WINDOW, mirror=True), seed=0)
    plain = TrainingRuns(front(recordings[:1]), 4, WINDOW, seed=0)
    pairs = [(only(mirrored, epoch), only(plain, epoch)) for epoch in range(8)]
    changed = [(a, b) for a, b in pairs if not torch.equal(a.frames, b.frames)]
    assert 0 < len(changed) < 8
    for one, other in changed:
        assert torch.equal(one.frames, other.frames.flip(3))
        swapped = other.pixels[:, :, list(MIRRORED_JOINTS)]
        assert torch.equal(one.pixels[..., 0], 63 - swapped[..., 0])
        assert torch.equal(one.pixels[..., 1], swapped[..., 1])


def test_an_epoch_can_be_run_again_and_another_differs(
    recordings: tuple[Recording, ...],
) -> None:
    runs = TrainingRuns(camera_frames(recordings, (2, 3)), 4, WINDOW, seed=3)
    assert len(runs) == 4
    assert runs.n_batches(3) == 2
    first, again, other = (list(runs.batches(epoch, 3)) for epoch in (0, 0, 1))
    assert [len(batch.frames) for batch in first] == [3, 1]
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.pixels, b.pixels) for a, b in zip(first, other, strict=True))


def test_chunks_follow_one_another_and_targets_peak_at_the_joints(
    recordings: tuple[Recording, ...],
) -> None:
    batch = only(TrainingRuns(front(recordings[:1]), 4, replace(WINDOW, crop=None), seed=0))
    parts = list(batch.chunks(3))
    assert [part.frames.shape[-1] for part in parts] == [3, 1]
    assert torch.equal(torch.cat([part.frames for part in parts], dim=-1), batch.frames)
    targets = batch.targets()
    assert targets.shape == (1, 4, 13, 260, 344)
    for frame, joint in [(0, 0), (3, 7)]:
        assert bool(batch.visible[0, frame, joint])
        column, row = batch.pixels[0, frame, joint].tolist()
        assert float(targets[0, frame, joint, row, column]) == 1.0


def test_what_is_too_short_or_too_small_is_refused(recordings: tuple[Recording, ...]) -> None:
    with pytest.raises(UsageError, match="longest has 7 frames"):
        TrainingRuns(front(recordings), 8, WINDOW, seed=0)
    with pytest.raises(UsageError, match="larger than the frames"):
        TrainingRuns(front(recordings), 4, replace(WINDOW, crop=(400, 64)), seed=0)
