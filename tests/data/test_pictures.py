"""Contact sheets and animations: every event, joint and label in its place."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ann2sdnn.data.pose.cameras import N_CAMERAS, camera
from ann2sdnn.data.pose.drawing import (
    CAPTION_HEIGHT,
    LEFT,
    MIDDLE,
    RIGHT,
    draw_camera,
    draw_events,
)
from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.recordings.options import ShowOptions
from ann2sdnn.data.recordings.pictures import (
    SHEET_ROWS,
    evenly_spaced,
    show,
)
from ann2sdnn.data.recordings.recording import Recording, RecordingName, open_recordings
from ann2sdnn.support.errors import DataError, OutputError, UsageError

NAME = RecordingName(3, 2, 1)
N_FRAMES = 20
WIDTH, HEIGHT = 344, 260 + CAPTION_HEIGHT
# A body in the middle of the room, in mm: right and left as the front cameras see them.
BODY = {
    "head": (0.0, 0.0, 1700.0),
    "shoulderR": (-200.0, 0.0, 1400.0),
    "shoulderL": (200.0, 0.0, 1400.0),
    "elbowR": (-500.0, 0.0, 1300.0),
    "elbowL": (500.0, 0.0, 1300.0),
    "hipR": (-150.0, 0.0, 900.0),
    "hipL": (150.0, 0.0, 900.0),
    "handR": (-700.0, 0.0, 1400.0),
    "handL": (700.0, 0.0, 1400.0),
    "kneeR": (-150.0, 0.0, 500.0),
    "kneeL": (150.0, 0.0, 500.0),
    "footR": (-150.0, 0.0, 50.0),
    "footL": (150.0, 0.0, 50.0),
}


def event_place(frame: int, channel: int) -> tuple[int, int]:
    """Row and column of the one event of a frame in a channel, away from the body."""
    return 5 + 2 * frame, 300 + channel


def write(folder: Path) -> Recording:
    frames = np.zeros((N_FRAMES, 260, 346, N_CAMERAS), np.uint8)
    for frame in range(N_FRAMES):
        for channel in range(N_CAMERAS):
            row, column = event_place(frame, channel)
            frames[frame, row, column, channel] = 255
    frames[:, :, 344:] = 255  # columns that are not shown
    xyz = np.broadcast_to(np.array([BODY[joint] for joint in JOINTS]).T, (N_FRAMES, 3, 13))
    with h5py.File(folder / NAME.frames_file, "w") as file:
        file.create_dataset("DVS", data=frames, compression="lzf")
    with h5py.File(folder / NAME.labels_file, "w") as file:
        file["XYZ"] = xyz
    (recording,) = open_recordings(folder)
    return recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return write(tmp_path_factory.mktemp("recording"))


def rgb(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))


def cell(picture: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    """Rows and columns of a frame in one cell of a grid, the caption cut off."""
    top, left = row * HEIGHT + CAPTION_HEIGHT, column * WIDTH
    return picture[top : top + 260, left : left + WIDTH]


def caption(picture: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    return picture[row * HEIGHT :, column * WIDTH :][:CAPTION_HEIGHT, :WIDTH]


def joint_colours(picture: NDArray[np.uint8], channel: int) -> dict[str, tuple[int, ...]]:
    """The colour at the place where the camera sees each joint."""
    found = {}
    for joint, point in BODY.items():
        column, row = camera(channel).project(np.array(point)).astype(int)
        found[joint] = tuple(int(value) for value in picture[row, column])
    return found


def test_the_sheet_shows_frames_as_rows_and_cameras_as_columns(
    recording: Recording, tmp_path: Path
) -> None:
    files = show(recording, tmp_path)
    assert files.sheet == tmp_path / "S3_session2_mov1.png"
    picture = rgb(Image.open(files.sheet))
    assert picture.shape == (SHEET_ROWS * HEIGHT, N_CAMERAS * WIDTH, 3)
    for row, frame in enumerate((0, 4, 8, 11, 15, 19)):
        for channel in range(N_CAMERAS):
            dark = (cell(picture, row, channel)[:, 290:-1] < 20).all(axis=-1)
            at_row, at_column = event_place(frame, channel)
            assert np.argwhere(dark).tolist() == [[at_row, at_column - 290]]


def test_joints_are_where_each_camera_sees_them_in_the_colour_of_their_side(
    recording: Recording, tmp_path: Path
) -> None:
    picture = rgb(Image.open(show(recording, tmp_path, frames=(4, 5)).sheet))
    sides = {"R": RIGHT, "L": LEFT, "d": MIDDLE}
    for channel in range(N_CAMERAS):
        found = joint_colours(cell(picture, 0, channel), channel)
        # In a side camera a nearer joint may be drawn over another one.
        same = [colour == sides[joint[-1]] for joint, colour in found.items()]
        assert all(same) if channel in (2, 3) else np.mean(same) > 0.7


def test_captions_tell_frames_and_cameras_apart(recording: Recording, tmp_path: Path) -> None:
    picture = rgb(Image.open(show(recording, tmp_path, frames=(3, 5)).sheet))
    strips = [caption(picture, row, column) for row in (0, 1) for column in range(N_CAMERAS)]
    assert all((strip < 80).all(axis=-1).sum() > 100 for strip in strips)
    assert len({strip.tobytes() for strip in strips}) == len(strips)


def test_bones_have_the_colour_of_their_side_and_need_both_ends() -> None:
    pixels = np.zeros((13, 2), np.int64)
    visible = np.zeros(13, bool)
    for joint, place in {
        "elbowR": (40, 100),
        "handR": (80, 100),
        "elbowL": (40, 150),
        "handL": (80, 150),
        "hipR": (40, 200),
        "hipL": (80, 200),
        "kneeR": (40, 240),
    }.items():
        pixels[JOINTS.index(joint)] = place
        visible[JOINTS.index(joint)] = True
    blank = np.zeros((260, 344), np.uint8)
    picture = rgb(draw_camera(blank, pixels, visible, ""))[CAPTION_HEIGHT:]
    for row, colour in ((100, RIGHT), (150, LEFT), (200, MIDDLE)):
        np.testing.assert_array_equal(picture[row, 60], colour)
    np.testing.assert_array_equal(picture[220, 40], RIGHT)
    visible[JOINTS.index("handR")] = False
    picture = rgb(draw_camera(blank, pixels, visible, ""))[CAPTION_HEIGHT:]
    assert (picture[90:110, 50:-1] == 255).all()  # the last column is the border
    assert (picture[1:20, 1:20] == 255).all()  # masked joints have the pixel (0, 0)


def test_events_are_dark_on_white() -> None:
    np.testing.assert_array_equal(
        rgb(draw_events(np.array([[0, 64, 255]], np.uint8)))[0, :, 0], [255, 127, 0]
    )


def test_the_animation_plays_the_range_in_order(recording: Recording, tmp_path: Path) -> None:
    files = show(recording, tmp_path, ShowOptions(max_frames=5, fps=20), frames=(6, 20))
    with Image.open(files.animation) as animation:
        assert animation.format == "GIF"
        assert getattr(animation, "n_frames", 1) == 5
        assert animation.info["loop"] == 0
        for number in range(5):
            animation.seek(number)
            assert animation.info["duration"] == 50
            page = rgb(animation)
            assert page.shape == (2 * HEIGHT, 2 * WIDTH, 3)
            for channel in range(N_CAMERAS):
                dark = (cell(page, *divmod(channel, 2))[:, 290:-1] < 20).all(axis=-1)
                row, column = event_place(6 + number, channel)
                assert np.argwhere(dark).tolist() == [[row, column - 290]]
            assert joint_colours(cell(page, 1, 0), 2)["handR"] == RIGHT
            assert joint_colours(cell(page, 1, 0), 2)["handL"] == LEFT


def test_busy_frames_make_no_large_file(tmp_path: Path) -> None:
    """30,000 events scattered over the sensors, the worst case for compression."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(30_000 / (4 * 260 * 346), (6, 260, 346, N_CAMERAS))
    with h5py.File(tmp_path / NAME.frames_file, "w") as file:
        file["DVS"] = np.minimum(counts * 120, 255).astype(np.uint8)
    with h5py.File(tmp_path / NAME.labels_file, "w") as file:
        file["XYZ"] = np.full((6, 3, 13), np.nan)
    (recording,) = open_recordings(tmp_path)
    files = show(recording, tmp_path / "out")
    assert files.animation.stat().st_size / 6 < 3e6 / 48


@pytest.mark.parametrize(
    ("indices", "most", "expected"),
    [
        (range(10, 20), 4, [10, 13, 16, 19]),
        (range(3, 5), 6, [3, 4]),
        (range(7, 8), 6, [7]),
        (range(6), 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_evenly_spaced_holds_both_ends(indices: range, most: int, expected: list[int]) -> None:
    assert evenly_spaced(indices, most) == expected


@pytest.mark.parametrize("frames", [(5, 5), (6, 5), (-1, 3), (0, 21), (20, 21)])
def test_ranges_that_are_empty_or_outside_are_refused(
    recording: Recording, tmp_path: Path, frames: tuple[int, int]
) -> None:
    with pytest.raises(UsageError, match="S3_session2_mov1 has frames 0 to 19"):
        show(recording, tmp_path / "out", frames=frames)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("max_frames", "fps"), [(0, 10.0), (5, 0.0), (5, 51.0), (5, np.nan)])
def test_animations_that_cannot_be_are_refused(
    recording: Recording, tmp_path: Path, max_frames: int, fps: float
) -> None:
    with pytest.raises(UsageError):
        show(recording, tmp_path, ShowOptions(max_frames, fps))


def test_pictures_are_kept_without_force(recording: Recording, tmp_path: Path) -> None:
    files = show(recording, tmp_path, frames=(0, 2))
    before = files.sheet.read_bytes()
    files.animation.unlink()
    with pytest.raises(OutputError, match="exists already"):
        show(recording, tmp_path, frames=(2, 4))
    assert files.sheet.read_bytes() == before
    assert not files.animation.exists()
    show(recording, tmp_path, frames=(2, 4), force=True)
    assert files.sheet.read_bytes() != before


def test_damage_leaves_no_picture(tmp_path: Path) -> None:
    recording = write(tmp_path)
    recording.labels_path.write_bytes(b"no labels")
    with pytest.raises(DataError):
        show(recording, tmp_path / "out")
    assert not (tmp_path / "out").exists()
