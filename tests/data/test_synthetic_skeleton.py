"""Forward kinematics and the directions of joint angles."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import FRONT_CHANNELS, N_CAMERAS, camera, triangulate
from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.synthetic.body.skeleton import N_BONES, Bone, Side, Skeleton, heading_matrix
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE
from ann2sdnn.data.synthetic.scene import make_scene

FloatArray = NDArray[np.float64]
SKELETON = Skeleton(height_mm=1000.0)
AXIS = {"flexion": 0, "abduction": 1, "twist": 2}


def markers(**degrees: float) -> dict[str, FloatArray]:
    """Markers of a person of 1 m with some angles, named as ``upper_arm_l_flexion``."""
    angles = np.zeros((1, N_BONES, 3))
    for name, value in degrees.items():
        bone, _, axis = name.rpartition("_")
        angles[0, Bone[bone.upper()], AXIS[axis]] = np.radians(value)
    placed = SKELETON.markers(SKELETON.place(angles))[0]
    return dict(zip(JOINTS, placed, strict=True))


def test_at_rest_the_arms_hang_and_the_segments_have_their_lengths() -> None:
    rest = markers()
    np.testing.assert_allclose(rest["elbowL"], [108.0, 5.0, 288.0 - 180.0 + 0.0], atol=1e-9)
    np.testing.assert_allclose(rest["elbowL"] - rest["shoulderL"], [0, 0, -200.0], atol=1e-9)
    np.testing.assert_allclose(rest["handL"] - rest["elbowL"], [0, 0, -186.0], atol=1e-9)
    np.testing.assert_allclose(rest["kneeR"], [-52.0, 0, -245.0], atol=1e-9)


@pytest.mark.parametrize("part", ["shoulder", "elbow", "hip", "hand", "knee", "foot"])
def test_at_rest_left_mirrors_right_and_is_at_positive_x(part: str) -> None:
    rest = markers()
    left, right = rest[f"{part}L"], rest[f"{part}R"]
    np.testing.assert_allclose(left * (-1, 1, 1), right, atol=1e-9)
    assert left[0] > 0


@pytest.mark.parametrize(("suffix", "letter", "sign"), [("_l", "L", 1.0), ("", "R", -1.0)])
def test_a_raised_arm_goes_sideways_or_forward(suffix: str, letter: str, sign: float) -> None:
    elbow, shoulder = f"elbow{letter}", np.array([sign * 108.0, 5.0, 288.0])
    aside = markers(**{f"upper_arm{suffix}_abduction": 90})
    np.testing.assert_allclose(aside[elbow], np.add(shoulder, [sign * 180.0, 0, 0]), atol=1e-9)
    ahead = markers(**{f"upper_arm{suffix}_flexion": 90})
    np.testing.assert_allclose(ahead[elbow], np.add(shoulder, [0, -180.0, 0]), atol=1e-9)
    inwards = markers(**{f"upper_arm{suffix}_twist": 90, f"forearm{suffix}_flexion": 90})
    towards_middle = inwards[f"hand{letter}"] - inwards[elbow]
    np.testing.assert_allclose(towards_middle, [-sign * 186.0, 0, 0], atol=1e-9)


def test_hips_bend_forward_knees_backward_and_the_trunk_forward() -> None:
    assert markers(thigh_flexion=90)["kneeR"][1] == pytest.approx(-245.0)
    assert markers(shin_flexion=90)["footR"][1] > 200.0
    assert markers(abdomen_flexion=30)["head"][1] < -100.0
    assert markers(abdomen_abduction=30)["head"][0] > 100.0


def test_bones_keep_their_length_in_any_pose() -> None:
    angles = np.random.default_rng(0).normal(0, 1, (20, N_BONES, 3))
    origin = SKELETON.place(angles).origin_mm
    for a, b in ((Bone.THIGH, Bone.SHIN), (Bone.UPPER_ARM_L, Bone.FOREARM_L)):
        length = np.linalg.norm(origin[:, b] - origin[:, a], axis=1)
        np.testing.assert_allclose(length, np.linalg.norm(SKELETON.offset_mm(b)))


def test_a_positive_heading_turns_the_subject_to_its_left() -> None:
    forward = np.array([0.0, -1.0, 0.0])
    np.testing.assert_allclose(heading_matrix(np.pi / 2) @ forward, [1, 0, 0], atol=1e-12)


def test_sides_are_opposite() -> None:
    assert Side.LEFT.other is Side.RIGHT


@pytest.mark.parametrize("subject", [1, 9, 17])
def test_subjects_face_the_front_cameras_and_stand_in_every_picture(subject: int) -> None:
    for entry in CATALOGUE[::5]:
        points = make_scene(0, subject, entry).performance.markers(np.linspace(0, 4, 30))
        for channel in range(N_CAMERAS):
            column, row = np.moveaxis(camera(channel).project(points), -1, 0)
            inside = (column > 0) & (column <= 344) & (row > 0) & (row <= 260)
            assert inside.mean() > 0.95  # a raised hand or a foot may leave a side camera's picture
            assert inside[:, JOINTS.index("hipR")].all()
        for channel in FRONT_CHANNELS:
            column = camera(channel).project(points)[..., 0].mean(axis=0)
            assert column[JOINTS.index("shoulderL")] > column[JOINTS.index("shoulderR")] + 5


def test_projected_labels_triangulate_to_themselves() -> None:
    points = make_scene(0, 3, CATALOGUE[0]).performance.markers(np.linspace(0, 3, 25))
    fronts = tuple(camera(channel) for channel in FRONT_CHANNELS)
    found = triangulate(fronts, tuple(one.project(points) for one in fronts))
    assert np.linalg.norm(found - points, axis=-1).max() < 1.0
