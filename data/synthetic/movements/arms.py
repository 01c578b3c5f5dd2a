"""Movements of the arms: abduction, curls, punches, waving, figures in the air, clapping."""

import numpy as np

from ann2sdnn.data.synthetic.body.motion import (
    BOTH,
    FloatArray,
    Motion,
    Pose,
    Sides,
    outwards,
    react,
)
from ann2sdnn.data.synthetic.body.rhythm import Rhythm, Stroke
from ann2sdnn.data.synthetic.body.skeleton import Bone


def arm_abduction(rng: np.random.Generator, sides: Sides) -> Motion:
    """Raise the stretched arms sideways and let them down."""
    rhythm = Rhythm(rng, rng.uniform(2.2, 3.6))
    size, lead = rng.uniform(75, 150), rng.uniform(-12, 15)
    lean, twist, elbow = rng.uniform(2, 6), rng.uniform(0, 4), rng.uniform(4, 16)

    def move(time_s: FloatArray, pose: Pose) -> None:
        course = rhythm.stroke(time_s, Stroke(0.42, 0.08, 0.40))
        for side in sides:
            pose.raise_arm(side, abduction=size * course, flexion=lead * course)
            pose.turn(Bone.FOREARM + side, flexion=-elbow * course)
        react(pose, sides, course, lean=lean, twist=twist)

    return move


def biceps_curl(rng: np.random.Generator, sides: Sides) -> Motion:
    """Bend the elbows with the upper arms hanging."""
    rhythm = Rhythm(rng, rng.uniform(1.8, 3.0))
    bend, forward = rng.uniform(90, 125), rng.uniform(0, 15)
    lean, twist = rng.uniform(1, 4), rng.uniform(0, 3)

    def move(time_s: FloatArray, pose: Pose) -> None:
        course = rhythm.stroke(time_s, Stroke(0.40, 0.08, 0.40))
        for side in sides:
            pose.turn(Bone.UPPER_ARM + side, flexion=forward * course)
            pose.turn(Bone.FOREARM + side, flexion=bend * course)
        react(pose, sides, course, lean=lean, twist=twist)
        pose.lean(forward=-lean * course)

    return move


def punch(
    rng: np.random.Generator,
    sides: Sides,
    *,
    aim: tuple[float, float],
    period_s: tuple[float, float],
) -> Motion:
    """Punch from beside the ribs; the arm ends ``aim`` degrees above hanging.

    Pelvis, knees and heel go with it, so that both legs move.
    """
    height = rng.uniform(*aim)
    rhythm = Rhythm(rng, rng.uniform(*period_s))
    guard, guard_elbow = rng.uniform(-40, -5), rng.uniform(90, 125)
    twist, lean, inward = rng.uniform(8, 20), rng.uniform(2, 7), rng.uniform(0, 20)
    back_mm = rng.uniform(15, 40)
    both_guard = rng.random() < 0.3

    def move(time_s: FloatArray, pose: Pose) -> None:
        course = rhythm.stroke(time_s, Stroke(0.26, 0.08, 0.34))
        for side in BOTH if both_guard else sides:
            pose.turn(Bone.UPPER_ARM + side, flexion=guard, twist=inward)
            pose.turn(Bone.FOREARM + side, flexion=guard_elbow)
        for side in sides:
            pose.raise_arm(side, flexion=(height - guard) * course, twist=-inward * course)
            pose.turn(Bone.FOREARM + side, flexion=-(guard_elbow - 2.0) * course)
        react(pose, sides, course, lean=0.3 * lean, twist=0.7 * twist)
        _drive(pose, sides, twist * course)
        pose.lean(forward=lean * course)
        pose.sway(left_mm=0 * course, back_mm=-back_mm * course, leg_mm=900.0)

    return move


def _drive(pose: Pose, sides: Sides, degrees: FloatArray) -> None:
    """Legs that drive a punch: the pelvis turns, the heel behind it rises, the knees bend."""
    for side in sides:
        pose.turn(Bone.PELVIS, twist=-0.5 * outwards(side) * degrees)
        pose.turn(Bone.FOOT + side, flexion=-degrees)
    for side in BOTH:
        pose.bend_leg(side, 0.4 * degrees, 0.8 * degrees)


def wave(rng: np.random.Generator, sides: Sides) -> Motion:
    """Wave hello with a raised hand, the forearm upright or tilted away from the head."""
    rhythm = Rhythm(rng, rng.uniform(0.8, 1.2))
    raised, size = rng.uniform(40, 80), rng.uniform(14, 26)
    bent = rng.uniform(140, 172) - raised
    lean, reaction = rng.uniform(1, 4), rng.uniform(1.0, 2.5)

    def move(time_s: FloatArray, pose: Pose) -> None:
        swing = np.sin(2 * np.pi * rhythm.phase(time_s))
        for side in sides:
            pose.raise_arm(side, abduction=raised + 4.0 * swing, twist=-80.0)
            pose.turn(Bone.FOREARM + side, flexion=bent + size * swing)
            pose.turn(Bone.HAND + side, abduction=0.4 * size * swing)
        react(pose, sides, lean + reaction * swing, lean=1.0, twist=0.8)

    return move


def figure(
    rng: np.random.Generator, sides: Sides, *, vertical: int, period_s: tuple[float, float]
) -> Motion:
    """Draw a Lissajous figure in front of the body with a hand, upper arm and elbow sharing it.

    ``vertical``: movements up and down per movement across, 1 for a circle and 2 for an eight.
    """
    rhythm = Rhythm(rng, rng.uniform(*period_s), jitter=0.05)
    up, out = rng.uniform(40, 75), rng.uniform(-5, 15)
    high, wide = rng.uniform(12, 28), rng.uniform(12, 28)
    bent, reach = rng.uniform(10, 55), rng.uniform(4, 16)
    turning, reaction = rng.choice([-1.0, 1.0]), rng.uniform(2, 5.0)

    def move(time_s: FloatArray, pose: Pose) -> None:
        angle = 2 * np.pi * turning * rhythm.phase(time_s)
        across, upwards = np.cos(angle), np.sin(vertical * angle)
        for side in sides:
            pose.raise_arm(
                side,
                flexion=up + high * upwards,
                abduction=out + wide * across,
                twist=0.5 * wide * across,
            )
            pose.turn(Bone.FOREARM + side, flexion=bent + reach * upwards)
        react(pose, sides, across, lean=reaction, twist=-reaction)
        pose.lean(forward=-0.4 * reaction * upwards)

    return move


def clap(rng: np.random.Generator, _sides: Sides) -> Motion:
    """Clap the hands before the chest."""
    rhythm = Rhythm(rng, rng.uniform(0.7, 1.2))
    up, bent = rng.uniform(15, 45), rng.uniform(60, 95)
    open_degrees, reaction = rng.uniform(18, 36), rng.uniform(1.5, 3.5)

    def move(time_s: FloatArray, pose: Pose) -> None:
        opened = 0.5 - 0.5 * np.cos(2 * np.pi * rhythm.phase(time_s))
        for side in BOTH:
            pose.raise_arm(
                side,
                flexion=up,
                abduction=0.3 * open_degrees * opened,
                twist=35.0 - 0.9 * open_degrees * opened,
            )
            pose.turn(Bone.FOREARM + side, flexion=bent - 8.0 * opened)
        pose.lean(forward=reaction * (1 - 2 * opened))

    return move
