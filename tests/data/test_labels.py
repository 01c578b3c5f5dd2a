"""Projection of labels into the picture."""

import numpy as np
import pytest

from ann2sdnn.data.pose.cameras import camera
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.support.errors import DataError


def _at(
    column: float, row: float, channel: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A point in the room that channel sees at (column, row), two metres from the camera."""
    one = camera(channel)
    return one.centre_mm + 2000.0 * one.ray(np.array([column, row]))


def test_a_point_worked_out_by_hand() -> None:
    # The origin of the room: (u, v, w) is the matrix' last column, here P3's (channel 2).
    xyz = np.zeros((1, 3, 13))
    labels = project_labels(xyz, 2)
    # column 171.92 and row 260 - 52.69 = 207.31, truncated
    assert labels.pixels[0].tolist() == [[171, 207]] * 13
    assert labels.visible.all()


@pytest.mark.parametrize("channel", range(4))
def test_joints_are_masked_at_the_pictures_edges(channel: int) -> None:
    places = [
        (1.5, 1.5, True),
        (0.5, 100.5, False),
        (-0.5, 100.5, False),
        (-30.0, 100.5, False),
        (100.5, 0.5, False),
        (343.5, 259.5, True),
        (344.5, 100.5, False),
        (345.5, 100.5, False),
        (100.5, 260.5, False),
        (100.5, 261.5, False),
        (200.7, 30.2, True),
        (172.5, 130.5, True),
        (500.0, 500.0, False),
    ]
    xyz = np.stack([_at(column, row, channel) for column, row, _ in places], axis=1)[None]
    labels = project_labels(xyz, channel)
    assert labels.visible[0].tolist() == [visible for *_, visible in places]
    expected = [[int(c), int(r)] if visible else [0, 0] for c, r, visible in places]
    assert labels.pixels[0].tolist() == expected


def test_joints_without_a_label_are_masked() -> None:
    xyz = np.zeros((2, 3, 13))
    xyz[1, 2, 5] = np.nan
    xyz[0, :, 7] = np.inf
    labels = project_labels(xyz, 3)
    hidden = {tuple(map(int, one)) for one in np.argwhere(~labels.visible)}
    assert hidden == {(1, 5), (0, 7)}
    assert labels.pixels[1, 5].tolist() == [0, 0]


def test_a_camera_that_does_not_exist() -> None:
    with pytest.raises(DataError, match="channel 4"):
        project_labels(np.zeros((1, 3, 13)), 4)
