"""Walking, jogging, jumping and hopping."""

import numpy as np

from ann2sdnn.data.synthetic.body.motion import BOTH, FloatArray, Motion, Pose, Sides, put_weight_on
from ann2sdnn.data.synthetic.body.rhythm import Rhythm, Stroke, minimum_jerk
from ann2sdnn.data.synthetic.body.skeleton import Bone

# Degrees of hip, knee, arm swing and elbow: slow, as in DHP19 (3.5 and 7 km/h).
_WALK = ((20, 30), (52, 64), (8, 17), (10, 24))
_JOG = ((18, 28), (60, 85), (14, 28), (75, 100))


def gait(
    rng: np.random.Generator, _sides: Sides, *, period_s: tuple[float, float], jog: bool
) -> Motion:
    """Walk or jog on a treadmill: nothing holds the feet in place."""
    rhythm = Rhythm(rng, rng.uniform(*period_s), jitter=0.02)
    ranges = _JOG if jog else _WALK
    hip, knee, arm, elbow = (rng.uniform(*limits) for limits in ranges)
    twist, roll, forward = rng.uniform(3, 7), rng.uniform(1.5, 4), rng.uniform(1, 6)
    sideways_mm, flight_mm = rng.uniform(12, 28), rng.uniform(25, 60)

    def move(time_s: FloatArray, pose: Pose) -> None:
        pose.weight[:] = 0.0
        cycle = 2 * np.pi * rhythm.phase(time_s)
        for side in BOTH:
            angle = cycle + np.pi * side
            swing = np.maximum(np.cos(angle - 2.2), 0.0) ** 1.5  # the leg is off the ground
            loading = np.maximum(np.cos(angle - 5.9), 0.0) ** 3
            pose.turn(Bone.THIGH + side, flexion=0.35 * hip + hip * np.cos(angle - 3.6))
            bend = 6.0 + knee * swing + (26.0 if jog else 12.0) * loading
            pose.turn(Bone.SHIN + side, flexion=bend)
            pose.turn(
                Bone.FOOT + side,
                flexion=0.35 * bend - 0.5 * hip * np.cos(angle - 3.6) - 8.0 * swing,
            )
            pose.turn(Bone.UPPER_ARM + side, flexion=4.0 + arm * np.cos(angle - 0.5))
            pose.turn(Bone.FOREARM + side, flexion=elbow + 0.4 * arm * np.cos(angle - 0.9))
        pose.turn(Bone.PELVIS, twist=twist * np.sin(cycle - 0.6), abduction=-roll * np.sin(cycle))
        pose.turn(Bone.CHEST, twist=-2.0 * twist * np.sin(cycle - 0.6))
        pose.turn(Bone.ABDOMEN, abduction=1.2 * roll * np.sin(cycle))
        pose.lean(forward=forward * (2.0 if jog else 1.0))
        pose.shift_mm[:, 0] += sideways_mm * np.sin(cycle + 0.4)
        if jog:
            pose.lift_mm += flight_mm * np.maximum(np.sin(2 * cycle + 0.8), 0.0)

    return move


def _crouch(pose: Pose, course: FloatArray, degrees: float) -> None:
    for side in BOTH:
        pose.bend_leg(side, degrees * course, 2 * degrees * course)
    pose.lean(forward=0.5 * degrees * course)


def _flight(within: FloatArray, start: float, length: float) -> FloatArray:
    """A parabola of height 1 over ``length`` of the repetition from ``start``."""
    part = np.clip((within - start) / length, 0.0, 1.0)
    return 4 * part * (1 - part)


def jump(
    rng: np.random.Generator, _sides: Sides, *, forward_mm: tuple[float, float] | None = None
) -> Motion:
    """Crouch, fly and land; a jump forward is followed by sliding back to where it began."""
    distance_mm = rng.uniform(*forward_mm) if forward_mm else 0.0
    rhythm = Rhythm(rng, rng.uniform(1.3, 2.0) + 0.002 * distance_mm)
    height_mm, bend = rng.uniform(90, 220), rng.uniform(22, 40)
    arm = rng.uniform(15, 50)

    def move(time_s: FloatArray, pose: Pose) -> None:
        within = rhythm.phase(time_s) % 1.0
        before = rhythm.stroke(time_s, Stroke(0.30, 0.02, 0.10))
        after = rhythm.stroke(time_s, Stroke(0.10, 0.02, 0.30), lead=-0.60)
        _crouch(pose, before + 0.8 * after, bend)
        flight = _flight(within, 0.38, 0.26)
        pose.lift_mm += height_mm * flight
        there = minimum_jerk((within - 0.38) / 0.26) - minimum_jerk((within - 0.72) / 0.28)
        pose.shift_mm[:, 1] -= distance_mm * there
        for side in BOTH:
            pose.turn(Bone.FOOT + side, flexion=-25.0 * flight)
            pose.turn(Bone.UPPER_ARM + side, flexion=arm * (flight - 0.8 * before))
            pose.turn(Bone.FOREARM + side, flexion=20.0 * before)

    return move


def hop(rng: np.random.Generator, sides: Sides) -> Motion:
    """Hopping on one leg, the other knee bent."""
    rhythm = Rhythm(rng, rng.uniform(0.55, 0.8), jitter=0.05)
    height_mm, bend = rng.uniform(40, 90), rng.uniform(12, 22)
    hip, knee, arm = rng.uniform(5, 35), rng.uniform(60, 95), rng.uniform(8, 25)

    def move(time_s: FloatArray, pose: Pose) -> None:
        within = rhythm.phase(time_s) % 1.0
        landed = 0.5 + 0.5 * np.cos(2 * np.pi * (within - 0.25))
        flight = _flight(within, 0.5, 0.5)
        for side in sides:
            pose.bend_leg(side, bend * landed, 2 * bend * landed)
            put_weight_on(pose, side, np.ones_like(within), 3.5)
            pose.turn(Bone.THIGH + side.other, flexion=hip + 5.0 * landed)
            pose.turn(Bone.SHIN + side.other, flexion=knee + 6.0 * landed)
        pose.lift_mm += height_mm * flight
        pose.lean(forward=4.0 + 5.0 * landed)
        for side in BOTH:
            pose.turn(Bone.UPPER_ARM + side, abduction=arm * (0.6 + flight))
            pose.turn(Bone.FOREARM + side, flexion=30.0 + 15.0 * flight)

    return move


def star_jump(rng: np.random.Generator, _sides: Sides) -> Motion:
    """Jump with arms and legs spreading and closing."""
    rhythm = Rhythm(rng, rng.uniform(1.05, 1.6), jitter=0.04)
    arms, legs = rng.uniform(110, 155), rng.uniform(14, 24)
    elbow = rng.uniform(5, 30)
    height_mm, bend = rng.uniform(40, 90), rng.uniform(8, 16)

    def move(time_s: FloatArray, pose: Pose) -> None:
        within = rhythm.phase(time_s) % 1.0
        spread = rhythm.stroke(time_s, Stroke(0.42, 0.08, 0.42))
        landed = 0.5 + 0.5 * np.cos(4 * np.pi * within)
        for side in BOTH:
            pose.raise_arm(side, abduction=arms * spread, flexion=8.0 * spread)
            pose.turn(Bone.FOREARM + side, flexion=elbow * spread)
            pose.turn(Bone.THIGH + side, abduction=legs * spread)
            pose.turn(Bone.FOOT + side, abduction=-legs * spread)
        _crouch(pose, landed, bend)
        pose.lift_mm += height_mm * (_flight(within, 0.12, 0.26) + _flight(within, 0.62, 0.26))

    return move
