"""Where synthetic labels put the joints."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.synthetic.body.skeleton import heading_matrix
from ann2sdnn.data.synthetic.labels import labelled_points
from ann2sdnn.data.synthetic.options import SynthOptions

# Left, back and up in mm for somebody who faces the front cameras.
MOVES = {
    "head": (0.0, -15.0, 75.0),
    "shoulderR": (-24.0, -5.0, 49.0),
    "elbowL": (18.0, 16.0, 39.0),
    "hipR": (-8.0, 11.0, 60.0),
    "handL": (22.0, -9.0, 63.0),
    "kneeR": (0.0, -56.0, 71.0),
    "footL": (4.0, -29.0, 59.0),
}


def markers(heading_rad: float) -> NDArray[np.float64]:
    """Any joints [2, 13, 3], with the hips beside each other in the direction of the heading."""
    points = np.random.default_rng(0).normal(0, 500, (2, 13, 3))
    points[:, JOINTS.index("hipR")] = (-120.0, 30.0, 900.0)
    points[:, JOINTS.index("hipL")] = (120.0, 30.0, 950.0)
    return np.asarray(points @ heading_matrix(heading_rad).T)


def test_labels_at_the_markers_are_the_markers() -> None:
    points = markers(0.0)
    assert labelled_points(points, "markers") is points


@pytest.mark.parametrize("heading_rad", [0.0, 0.4, -2.0])
def test_published_labels_are_moved_with_the_body(heading_rad: float) -> None:
    points = markers(heading_rad)
    before = points.copy()
    moved = labelled_points(points, SynthOptions().labels) - points
    assert (points == before).all()
    for joint, move in MOVES.items():
        expected = heading_matrix(heading_rad) @ move
        for time in range(2):
            np.testing.assert_allclose(moved[time, JOINTS.index(joint)], expected, atol=1e-9)


def test_both_sides_are_moved_alike() -> None:
    moved = labelled_points(markers(0.0), "published") - markers(0.0)
    for joint in ("shoulder", "elbow", "hip", "hand", "knee", "foot"):
        right, left = (moved[0, JOINTS.index(joint + side)] for side in "RL")
        np.testing.assert_allclose(right, left * (-1.0, 1.0, 1.0), atol=1e-9)
