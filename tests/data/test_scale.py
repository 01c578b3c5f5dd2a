"""Resized pictures: where joints lie, what heat maps show, and errors in pixels of whole ones."""

import numpy as np
import pytest
import torch
from recordings import write_recordings

from ann2sdnn.calibration.thresholds.deviation import DeviationMeter, Reference, joints_of
from ann2sdnn.data.pose.displacement import HeatmapComparison
from ann2sdnn.data.pose.heatmaps import decode_heatmaps, draw_heatmaps, heatmap_loss
from ann2sdnn.data.pose.scale import WHOLE, PictureScale
from ann2sdnn.data.recordings.recording import Recording, open_recordings
from ann2sdnn.data.recordings.samples import Augmentation, PoseSamples
from ann2sdnn.data.sources.dhp19 import plan_runs
from ann2sdnn.data.sources.frames import CroppedFrames, PoseFrames, picture_scale
from ann2sdnn.data.sources.resized import before_resizing, resized
from ann2sdnn.data.sources.varied import varied

SIZE = (64, 84)
SEEN = torch.ones(1, 1, dtype=torch.bool)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = write_recordings(tmp_path_factory.mktemp("data"), frames=3)
    return open_recordings(folder)[0]


def test_a_pixels_centre_lies_in_the_middle_of_what_it_covers() -> None:
    # Pixel 3 of a quarter covers columns 12 to 15, pixel 1 of a half rows 2 and 3.
    scale = PictureScale.between((10, 40), (5, 10))
    assert (scale.across, scale.down) == (4, 2)
    whole = scale.to_whole(np.array([[3, 1]]))
    assert whole.tolist() == [[13.5, 2.5]]
    assert scale.to_resized(whole).tolist() == [[3, 1]]
    assert scale.to_resized(np.array([[12, 2]])).tolist() == [[2.625, 0.75]]


def test_whole_pictures_keep_their_pixels() -> None:
    pixels = np.array([[3, 1]])
    assert PictureScale.between((260, 344), (260, 344)) == WHOLE
    assert WHOLE.to_whole(pixels) is pixels
    assert WHOLE.to_resized(pixels) is pixels


def test_the_gaussian_has_4_px_of_the_whole_picture() -> None:
    scale = PictureScale(4, 2)
    maps = draw_heatmaps(torch.tensor([[[20.0, 20.0]]]), SEEN, 40, 40, scale)[0, 0]
    # A column is 4 px, a row 2 px: one sigma is one column or two rows.
    assert maps[20, 21].item() == maps[22, 20].item() == pytest.approx(np.exp(-0.5))
    nothing = torch.zeros(1, 1, 40, 40)
    loss = heatmap_loss(nothing, maps[None, None], scale)
    assert float(loss) == pytest.approx(1.0, rel=1e-3)


def test_a_resized_map_decodes_to_within_half_a_pixel() -> None:
    scale = PictureScale.between((260, 344), SIZE)
    joints = np.random.default_rng(0).integers((8, 8), (336, 252), (1, 50, 2))
    places = torch.from_numpy(scale.to_resized(joints))
    maps = draw_heatmaps(places, torch.ones(1, 50, dtype=torch.bool), *SIZE, scale)
    found = scale.to_whole(decode_heatmaps(maps)[0])
    off = np.abs(found - joints)
    assert off[..., 0].max() <= scale.across / 2
    assert off[..., 1].max() <= scale.down / 2
    assert off.mean() > 0.5  # not the joints themselves


def test_displacements_are_in_pixels_of_the_whole_picture() -> None:
    scale = PictureScale(4, 2)
    one, other = (
        draw_heatmaps(torch.tensor([[[x, y]]]), SEEN, 20, 20) for x, y in ((5, 5), (8, 7))
    )
    comparison = HeatmapComparison()
    comparison.add(one, other, scale)
    # Three columns of 4 px, two rows of 2 px.
    assert comparison.result().displacement_px_mean == pytest.approx(np.hypot(12, 4))
    # The meter of budgets measures the same, up to the 5 px that a distance counts at most.
    near = draw_heatmaps(torch.tensor([[[6, 5]]]), SEEN, 20, 20)
    meter, sure = DeviationMeter(), np.ones((1, 1), np.float32)
    meter.add("", near, joints_of(near, scale), Reference.of(one, scale=scale), sure)
    moved = meter.result().displacement
    assert moved is not None
    assert moved.capped_px == 4


def test_resized_poses_keep_their_labels(recording: Recording) -> None:
    (run,) = plan_runs([recording], (2,))
    (small,) = resized([run], SIZE)
    assert isinstance(small, PoseFrames)
    assert small.shape == (1, *SIZE)
    assert np.array_equal(small.labels().pixels, run.labels().pixels)
    part = small.part(1, 3)
    assert isinstance(part, PoseFrames)
    assert (part.start, part.channel, part.n_frames) == (1, 2, 2)
    assert np.array_equal(part.labels_mm(), recording.labels([1, 2]), equal_nan=True)
    assert before_resizing(small) is run


def test_the_scale_follows_the_frames(recording: Recording) -> None:
    (run,) = plan_runs([recording], (2,))
    (small,) = resized([run], SIZE)
    scale = PictureScale(344 / 84, 260 / 64)
    assert picture_scale(run) == picture_scale(CroppedFrames(run, 8, 8)) == WHOLE
    (changed,) = varied([small])
    assert picture_scale(small) == picture_scale(changed) == scale
    assert picture_scale(CroppedFrames(small, 8, 8)) == scale


@pytest.mark.parametrize("cache_bytes", [0, 10**9])
def test_training_sees_the_pictures_of_a_conversion(recording: Recording, cache_bytes: int) -> None:
    samples = PoseSamples([recording], (1, 2), resize=SIZE, cache_bytes=cache_bytes)
    assert samples.cached == bool(cache_bytes)
    runs = resized(plan_runs([recording], (1, 2)), SIZE)
    frames = [np.concatenate(list(run.chunks(2))) for run in runs]
    for index in range(len(samples)):
        number, camera = divmod(index, 2)
        sample = samples[index]
        assert np.array_equal(sample.frame.numpy(), frames[camera][number])
        expected = samples.scale.to_resized(samples.pixels[index])
        assert np.array_equal(sample.pixels.numpy(), expected)


def test_windows_and_mirrors_of_resized_pictures_move_the_joints_along(
    recording: Recording,
) -> None:
    plain = PoseSamples([recording], (2,), resize=SIZE)
    samples = PoseSamples([recording], (2,), Augmentation((32, 40), mirror=True), resize=SIZE)
    moved = 0
    for samples.epoch in range(8):
        whole, part = plain[0], samples[0]
        assert part.frame.shape == (1, 32, 40)
        assert part.pixels.dtype == torch.float32
        size = samples.height, samples.width
        places = samples.scale.to_resized(samples.pixels[0])
        random = np.random.default_rng((0, samples.epoch, 0))
        window = samples.augmentation.window(size, places, samples.visible[0], random)
        left = np.arange(window.left, window.left + 40)
        columns = left[::-1] if window.mirrored else left
        rows = slice(window.top, window.top + 32)
        assert np.array_equal(part.frame.numpy(), whole.frame.numpy()[:, rows, columns])
        head = part.pixels[0].tolist()  # the head has no side
        column = head[0] if not window.mirrored else 39 - head[0]
        assert [column + window.left, head[1] + window.top] == pytest.approx(places[0].tolist())
        moved += window.mirrored
    assert 0 < moved < 8
