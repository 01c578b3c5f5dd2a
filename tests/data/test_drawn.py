"""Pictures drawn from events: as recorded where nothing varies, and what variation does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from recordings import write_overlapping, write_recordings

from ann2sdnn.data.recordings.drawn.events import HopEvents, read_hop_events
from ann2sdnn.data.recordings.drawn.kernel import Canvas
from ann2sdnn.data.recordings.drawn.samples import DrawnSamples
from ann2sdnn.data.recordings.drawn.variation import Variation, draw_variation
from ann2sdnn.data.recordings.recording import Recording, open_recordings
from ann2sdnn.data.recordings.samples import Augmentation, Follower, PoseSamples
from ann2sdnn.support.errors import UsageError

CHANNELS = (1, 3)
SIZE = (260, 344)
N_HOPS = 4
ALL = np.ones((1, 1))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = write_overlapping(tmp_path_factory.mktemp("hops"), hops_per_window=N_HOPS)
    return open_recordings(folder)[0]


@pytest.fixture(scope="module")
def events(recording: Recording) -> HopEvents:
    return read_hop_events([recording], CHANNELS)


def drawn(
    events: HopEvents,
    frame: int,
    *,
    camera: int = 0,
    matrix: NDArray[np.float64] | None = None,
    kept: NDArray[np.float64] = ALL,
    noise: int = 0,
    soft: bool = False,
) -> NDArray[np.uint8]:
    first = events.first[0][camera, frame : frame + N_HOPS + 1]
    change = (np.eye(2, 3) if matrix is None else matrix, kept, noise, soft, np.uint64(5))
    canvas = Canvas(SIZE)
    return canvas.finish(canvas.draw(events.pixel, first, frame, change))


def test_without_variation_the_recorded_frame_is_drawn(
    recording: Recording, events: HopEvents
) -> None:
    for camera, channel in enumerate(CHANNELS):
        recorded = recording.frames(range(3), [channel])[:, 0]
        for frame in range(3):
            assert (drawn(events, frame, camera=camera) == recorded[frame]).all()


def test_events_move_as_joints_do(events: HopEvents) -> None:
    centre = np.array([150.0, 120.0])
    rng = np.random.default_rng(3)
    while True:
        change = draw_variation(rng, N_HOPS, N_HOPS, centre)
        if not np.array_equal(change.matrix, np.eye(2, 3)):
            break
    one = HopEvents(np.full(400, 100 * 344 + 170, np.uint32), (np.array([[0, 400]]),))
    canvas = Canvas(SIZE)
    plain = (change.matrix, ALL, 0, False, np.uint64(1))
    picture = canvas.finish(canvas.draw(one.pixel, one.first[0][0], 0, plain))
    rows, columns = np.nonzero(picture)
    (column, row) = change.moved(np.array([170, 100]))
    assert abs(rows - row).max() <= 2
    assert abs(columns - column).max() <= 2
    assert change.moved(np.floor(centre).astype(np.int64)) == pytest.approx(centre, abs=2)


def test_cells_lose_their_share_of_events(events: HopEvents) -> None:
    whole = drawn(events, 0)
    middle = np.nonzero(whole)[1].mean()
    left_only = np.zeros((1, 344))
    left_only[:, : int(middle)] = 1
    faded = drawn(events, 0, kept=left_only)
    assert not faded[:, int(middle) :].any()
    assert ((faded > 0) == (whole > 0))[:, : int(middle)].all()
    few = np.count_nonzero(drawn(events, 0, kept=np.full((1, 1), 0.25)))
    assert 0.1 < few / np.count_nonzero(whole) < 0.45


def test_noise_and_softness_touch_more_pixels(events: HopEvents) -> None:
    plain = np.count_nonzero(drawn(events, 0))
    noisy = np.count_nonzero(drawn(events, 0, noise=50))
    assert plain + 100 < noisy <= plain + 50 * N_HOPS
    assert np.count_nonzero(drawn(events, 0, soft=True)) > 1.2 * plain


def test_two_windows_show_the_same_changes_of_the_hops_they_share(events: HopEvents) -> None:
    # Only the hop that leaves and the one that comes make a difference.
    kept = np.full((1, 1), 0.5)
    one, two = (drawn(events, frame, kept=kept, noise=20) > 0 for frame in (0, 1))
    first = events.first[0][0]
    most = first[1] - first[0] + first[N_HOPS + 1] - first[N_HOPS] + 2 * 20
    assert 0 < np.count_nonzero(one != two) <= most


def test_samples_are_repeatable_and_new_in_every_epoch(recording: Recording) -> None:
    samples = DrawnSamples([recording], CHANNELS, Augmentation((96, 64), mirror=True), seed=4)
    other = DrawnSamples([recording], CHANNELS, Augmentation((96, 64), mirror=True), seed=4)
    assert samples.cached
    for index in (0, 5, Follower(2)):
        assert torch.equal(samples[index].frame, other[index].frame)
        assert samples[index].frame.shape == (1, 96, 64)
    other.epoch = 1
    assert any(not torch.equal(samples[i].frame, other[i].frame) for i in range(6))


def test_a_share_of_the_pictures_stays_as_it_was_recorded(recording: Recording) -> None:
    recorded = PoseSamples([recording], CHANNELS)
    samples = DrawnSamples([recording], CHANNELS, share=0.5, seed=4)
    as_recorded = []
    for index in range(len(samples)):
        same = torch.equal(samples[index].frame, recorded[index].frame)
        as_recorded.append(same)
        if same:
            assert torch.equal(samples[index].pixels, recorded[index].pixels)
            follower = samples[Follower(index)]
            assert torch.equal(follower.frame, recorded[Follower(index)].frame)
    assert 0.2 < np.mean(as_recorded) < 0.8


def test_the_label_is_the_pose_at_the_end_or_the_mean(recording: Recording) -> None:
    samples = DrawnSamples([recording], (2,), seed=4)
    still = {"matrix": np.eye(2, 3), "kept": ALL, "noise": 0.0, "soft": False, "gain": 1.0}
    last = samples.pixels[3]
    mean = samples.pixels[1:4].mean(axis=0)
    for at_end, expected in ((True, last), (False, mean)):
        change = Variation(n_hops=3, at_end=at_end, seed=0, **still)  # type: ignore[arg-type]
        pixels, visible = samples._label(3, change)
        assert abs(pixels - expected)[visible].max() <= 0.5 + 1e-9


def test_finished_frames_are_refused(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path)
    with pytest.raises(UsageError, match="--vary draws pictures from events"):
        DrawnSamples(open_recordings(folder), CHANNELS)
