"""What every movement has in common, and what tells them apart."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.synthetic.body.motion import Performance, Pose, Sides, stance
from ann2sdnn.data.synthetic.body.rhythm import Rhythm, Stroke, Wander, minimum_jerk
from ann2sdnn.data.synthetic.body.skeleton import Bone, Side, Skeleton
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE, CatalogueEntry
from ann2sdnn.data.synthetic.movements.kinds import KINDS
from ann2sdnn.data.synthetic.scene import make_scene

FloatArray = NDArray[np.float64]
TIMES = np.arange(0, 6, 0.005)
SKELETON = Skeleton(1700.0)


def performance(kind: str, sides: Sides, seed: int = 0) -> Performance:
    rng = np.random.default_rng(seed)
    return Performance(SKELETON, (KINDS[kind](rng, sides),), (0.0, 0.0), 0.0)


def travel(entry: CatalogueEntry, joint: str) -> float:
    """How far a joint is from its mean place beside the body on average, in mm."""
    markers = make_scene(0, 2, entry).performance.markers(TIMES)
    root = ("shoulder" if joint.startswith("hand") else "hip") + joint[-1]
    points = markers[:, JOINTS.index(joint)] - markers[:, JOINTS.index(root)]
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).mean())


def entry_of(kind: str, side: Side) -> CatalogueEntry:
    return next(e for e in CATALOGUE if e.kind == kind and e.sides == (side,))


def test_the_catalogue_is_the_33_movements_of_the_data_set() -> None:
    numbers = {(e.session, e.movement) for e in CATALOGUE}
    sizes = dict(zip(range(1, 6), (8, 6, 6, 6, 7), strict=True))
    assert numbers == {(s, m) for s, n in sizes.items() for m in range(1, n + 1)}
    assert len(CATALOGUE) == 33
    assert {e.kind for e in CATALOGUE} == set(KINDS)
    assert len({e.kind for e in CATALOGUE[:6]}) == 6


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda e: e.name)
def test_movements_are_smooth_on_the_ground_and_never_still(entry: CatalogueEntry) -> None:
    scene = make_scene(0, 1 + entry.movement, entry)
    placed = scene.performance.at(TIMES)
    points = scene.performance.markers(TIMES)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=2) / np.diff(TIMES)[:, None] / 1000
    assert np.isfinite(points).all()
    assert speed.max() < 12.0  # m/s: faster than a fist or a foot, slower than a jump cut
    assert speed.max() > 0.3
    path = speed.mean(axis=0) * 1000
    for joint in ("head", "shoulderR", "shoulderL", "hipR", "hipL"):
        assert path[JOINTS.index(joint)] > 10.0  # mm a second: what stands still sends no event
    lowest = scene.body.skeleton.soles(placed)[..., 2].min(axis=(1, 2))
    assert lowest.min() > -1e-6
    assert lowest.min() < 1.0
    assert points[:, 0, 2].min() > 1100.0


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("arm abduction", "hand"),
        ("biceps curl", "hand"),
        ("wave", "hand"),
        ("punch forward", "hand"),
        ("arm circle", "hand"),
        ("knee lift", "knee"),
        ("kick", "foot"),
        ("side kick", "foot"),
        ("leg abduction", "foot"),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_the_named_side_moves(kind: str, part: str, side: Side) -> None:
    moving, resting = ("L", "R") if side is Side.LEFT else ("R", "L")
    entry = entry_of(kind, side)
    assert travel(entry, part + moving) > 1.5 * travel(entry, part + resting)


def test_left_and_right_variants_are_mirror_images() -> None:
    for kind in ("arm abduction", "kick", "figure of eight"):
        left = performance(kind, (Side.LEFT,)).markers(TIMES)
        right = performance(kind, (Side.RIGHT,)).markers(TIMES)
        swapped = right.copy()
        swapped[:, 1::2], swapped[:, 2::2] = right[:, 2::2], right[:, 1::2]
        np.testing.assert_allclose(left, swapped * (-1, 1, 1), atol=1e-6)


@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT])
def test_a_punch_moves_the_legs_and_lifts_the_heel_behind_it(side: Side) -> None:
    for kind in ("punch forward", "punch up", "punch down"):
        placed = performance(kind, (side,)).at(TIMES)
        heels = SKELETON.soles(placed)[:, :, 0, 2]
        assert (heels[:, side] - heels[:, side.other]).max() > 10.0  # mm
        assert (heels[:, side] - heels[:, side.other]).min() > -1.0
        knees = placed.origin_mm[:, [Bone.SHIN, Bone.SHIN_L]]
        assert (np.ptp(knees, axis=0)[:, 2] > 3.0).all()


@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT])
def test_a_waving_forearm_does_not_lean_over_the_head(side: Side) -> None:
    outwards = 1.0 if side is Side.LEFT else -1.0
    for seed in range(20):
        placed = performance("wave", (side,), seed).at(TIMES)
        forearm = placed.origin_mm[:, Bone.HAND + side] - placed.origin_mm[:, Bone.FOREARM + side]
        assert (forearm[:, 2] > 0).all()
        assert (outwards * forearm[:, 0]).mean() > 0


def test_jumps_leave_the_ground_and_standing_does_not() -> None:
    for kind, airborne in (("jump", True), ("star jump", True), ("wave", False)):
        played = performance(kind, (Side.RIGHT, Side.LEFT))
        lowest = SKELETON.soles(played.at(TIMES))[..., 2].min(axis=(1, 2))
        assert bool(lowest.max() > 30.0) is airborne


def test_the_standing_foot_stays_in_place() -> None:
    played = performance("knee lift", (Side.LEFT,))
    right_heel = SKELETON.soles(played.at(TIMES))[:, Side.RIGHT, 0, :2]
    assert np.ptp(right_heel, axis=0).max() < 70.0
    left_heel = SKELETON.soles(played.at(TIMES))[:, Side.LEFT, 0, :2]
    assert np.ptp(left_heel, axis=0).max() > 100.0


def test_a_pose_depends_on_its_time_alone() -> None:
    scene = make_scene(5, 5, CATALOGUE[0])
    whole = scene.performance.markers(TIMES)
    np.testing.assert_allclose(scene.performance.markers(TIMES[100:110]), whole[100:110])


def test_swaying_moves_the_pelvis_and_not_the_feet() -> None:
    pose = Pose(np.zeros(1))
    rest = SKELETON.markers(Performance(SKELETON, (), (0.0, 0.0), 0.0).at(np.zeros(1)))[0]
    pose.sway(left_mm=np.array([30.0]), back_mm=np.array([0.0]), leg_mm=0.53 * 1700)

    def swayed(_time: FloatArray, other: Pose) -> None:
        other.angles += pose.angles

    moved = SKELETON.markers(Performance(SKELETON, (swayed,), (0.0, 0.0), 0.0).at(np.zeros(1)))[0]
    shift = dict(zip(JOINTS, moved - rest, strict=True))
    assert 20.0 < shift["hipL"][0] < 40.0
    assert abs(shift["footL"][0]) < 8.0


def test_standing_people_differ() -> None:
    bodies = [
        Performance(SKELETON, (stance(np.random.default_rng(s), 900.0),), (0.0, 0.0), 0.0)
        for s in (1, 2)
    ]
    first, second = (body.markers(TIMES[:10]) for body in bodies)
    assert np.abs(first - second).max() > 5.0


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    np.testing.assert_allclose(
        minimum_jerk(np.array([-1.0, 0.0, 0.5, 1.0, 2.0])), [0, 0, 0.5, 1, 1]
    )
    slope = np.diff(minimum_jerk(np.array([0.0, 1e-4]))) / 1e-4
    assert slope[0] < 1e-6


def test_a_stroke_goes_out_stays_and_comes_back_every_repetition() -> None:
    rhythm = Rhythm(np.random.default_rng(0), 1.0, jitter=0.0)
    time_s = np.arange(0, 5, 0.001)
    course = rhythm.stroke(time_s, Stroke(0.3, 0.1, 0.3))
    assert course.min() == pytest.approx(0.0, abs=1e-9)
    assert course.max() == pytest.approx(1.0, abs=1e-6)
    assert np.mean(course < 1e-9) == pytest.approx(0.3, abs=0.02)
    assert np.mean(course > 1 - 1e-9) == pytest.approx(0.1, abs=0.03)


def test_wandering_has_mean_0_and_deviation_1() -> None:
    course = Wander(np.random.default_rng(0), 0.2, 1.0)(np.arange(0, 400, 0.05))
    assert abs(course.mean()) < 0.05
    assert course.std() == pytest.approx(1.0, abs=0.05)
