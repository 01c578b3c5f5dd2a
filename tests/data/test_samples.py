"""Training samples: the right picture with the right joints, cropped and mirrored."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import RecordingName, open_recordings
from ann2sdnn.data.recordings.samples import (
    MIRRORED_JOINTS,
    Augmentation,
    Follower,
    PoseSamples,
    Sample,
)
from ann2sdnn.support.errors import DataError, UsageError

CHANNELS = (2, 3)
# (subject, frames) of the recordings
RECORDINGS = ((1, 3), (2, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames in which every visible joint j is a single pixel of value 100 + j."""
    path = tmp_path_factory.mktemp("samples")
    random = np.random.default_rng(0)
    for subject, n_frames in RECORDINGS:
        xyz = random.uniform(-1, 1, (n_frames, 3, 13)) * [[300], [300], [700]] + [[0], [0], [900]]
        xyz[0, :, 4] = np.nan
        frames = np.zeros((n_frames, 260, 346, 4), np.uint8)
        for channel in range(4):
            labels = project_labels(xyz, channel)
            for frame, joint in np.argwhere(labels.visible):
                column, row = labels.pixels[frame, joint]
                frames[frame, row, column, channel] = 100 + joint
        name = RecordingName(subject, 1, 1)
        with h5py.File(path / name.frames_file, "w") as file:
            file.create_dataset("DVS", data=frames, chunks=(1, 260, 346, 4), compression="gzip")
        with h5py.File(path / name.labels_file, "w") as file:
            file["XYZ"] = xyz
    return path


def _samples(folder: Path, *, cache_bytes: int = 10**9, **augmentation: object) -> PoseSamples:
    return PoseSamples(
        open_recordings(folder),
        CHANNELS,
        Augmentation(**augmentation),  # type: ignore[arg-type]
        seed=1,
        cache_bytes=cache_bytes,
    )


def _equal(a: Sample, b: Sample) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def _joints_found(sample: Sample) -> int:
    """Count the joints inside the picture, each of which must stand where the sample says."""
    height, width = sample.frame.shape[1:]
    found = 0
    for joint in range(13):
        column, row = sample.pixels[joint].tolist()
        if sample.visible[joint] and 0 <= column < width and 0 <= row < height:
            # Joints may share a pixel, the last one is drawn; the fixture's do not.
            assert sample.frame[0, row, column] == 100 + joint
            found += 1
    return found


def test_every_frame_of_every_camera_is_a_sample(folder: Path) -> None:
    samples = _samples(folder)
    assert len(samples) == 2 * (3 + 2)
    index = 0
    for recording in open_recordings(folder):
        for frame in range(recording.n_frames):
            for channel in CHANNELS:
                sample = samples[index]
                labels = project_labels(recording.labels([frame]), channel)
                assert np.array_equal(sample.frame, recording.frames([frame], [channel])[0])
                assert np.array_equal(sample.pixels, labels.pixels[0])
                assert np.array_equal(sample.visible, labels.visible[0])
                index += 1


def test_reading_lazily_gives_the_same_samples(folder: Path) -> None:
    cached = _samples(folder, crop=(64, 48), mirror=True)
    lazy = _samples(folder, crop=(64, 48), mirror=True, cache_bytes=0)
    assert (cached.cached, lazy.cached) == (True, False)
    assert all(_equal(cached[i], lazy[i]) for i in range(len(cached)))


def test_joints_move_with_the_crop(folder: Path) -> None:
    samples = _samples(folder, crop=(128, 96))
    found = 0
    for epoch in range(10):
        samples.epoch = epoch
        for index in range(len(samples)):
            sample = samples[index]
            assert sample.frame.shape == (1, 128, 96)
            found += _joints_found(sample)
    # 10 epochs of 10 pictures with up to 13 joints
    assert found > 600


def test_a_crop_shows_the_person_and_stays_inside(folder: Path) -> None:
    whole = _samples(folder, crop=(260, 344))
    assert _equal(whole[3], _samples(folder)[3])
    small = _samples(folder, crop=(32, 32))
    shown = [bool(small[index].frame.any()) for index in range(len(small))]
    assert sum(shown) > 5


def test_chance_follows_from_seed_epoch_and_index(folder: Path) -> None:
    samples, again = (_samples(folder, crop=(64, 64), mirror=True) for _ in range(2))
    assert _equal(samples[4], again[4])
    again.epoch = 1
    assert not all(_equal(samples[i], again[i]) for i in range(len(samples)))


def test_a_follower_is_the_next_picture_of_its_camera_in_the_same_window(folder: Path) -> None:
    whole, cropped = _samples(folder), _samples(folder, crop=(96, 64))
    last = 2 * RECORDINGS[0][1] - 1  # of the first recording, second camera
    for index, after in ((0, 2), (1, 3), (last, last - 2)):
        leader, follower = cropped[index], cropped[Follower(index)]
        corner = whole[index].pixels - leader.pixels
        assert torch.equal(whole[after].pixels - follower.pixels, corner)
        assert _joints_found(follower) > 0


def test_a_follower_is_mirrored_as_its_leader_is(folder: Path) -> None:
    whole, mirrored = _samples(folder), _samples(folder, mirror=True)
    seen = set()
    for epoch in range(8):
        mirrored.epoch = epoch
        is_plain = _equal(mirrored[0], whole[0])
        assert _equal(mirrored[Follower(0)], whole[2]) == is_plain
        seen.add(is_plain)
    assert seen == {True, False}


def test_a_mirrored_person_keeps_a_right_hand_on_the_right_side(folder: Path) -> None:
    plain, mirrored = _samples(folder), _samples(folder, mirror=True)
    right, left = JOINTS.index("handR"), JOINTS.index("handL")
    seen = 0
    for index in range(len(plain)):
        a, b = plain[index], mirrored[index]
        if _equal(a, b):
            continue
        seen += 1
        assert torch.equal(b.frame, a.frame.flip(-1))
        assert b.pixels[right].tolist() == [343 - int(a.pixels[left, 0]), int(a.pixels[left, 1])]
        assert b.pixels[0].tolist() == [343 - int(a.pixels[0, 0]), int(a.pixels[0, 1])]
        assert b.visible[JOINTS.index("elbowR")] == a.visible[JOINTS.index("elbowL")]
    assert 0 < seen < len(plain)


def test_mirroring_changes_left_and_right() -> None:
    for joint, other in enumerate(MIRRORED_JOINTS):
        assert MIRRORED_JOINTS[other] == joint
        swapped = JOINTS[joint][:-1] + {"L": "R", "R": "L"}.get(JOINTS[joint][-1], "d")
        assert JOINTS[other] == swapped


def test_samples_are_collated_as_bytes_also_by_workers(folder: Path) -> None:
    samples = _samples(folder, crop=(64, 48), cache_bytes=0)
    loader = torch.utils.data.DataLoader(samples, batch_size=5, num_workers=2)
    batches = list(loader)
    assert [type(batch) for batch in batches] == [Sample, Sample]
    assert batches[0].frame.shape == (5, 1, 64, 48)
    assert batches[0].frame.dtype == torch.uint8
    assert torch.equal(batches[1].pixels[0], samples[5].pixels)


@pytest.mark.parametrize("crop", [(30, 32), (32, 0), (-4, 8)])
def test_crops_that_cannot_be_pooled(crop: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"{crop[0]}x{crop[1]}.*multiples of 4"):
        Augmentation(crop)


def test_a_crop_larger_than_the_frame(folder: Path) -> None:
    with pytest.raises(UsageError, match="264x344 pixels is larger than the frames, 260x344"):
        _samples(folder, crop=(264, 344))


def test_nothing_to_train_on(folder: Path) -> None:
    with pytest.raises(DataError, match="nothing to train or test on"):
        PoseSamples([], CHANNELS)
