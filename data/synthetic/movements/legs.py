"""Movements of one leg while the other stands: knee lifts, kicks, abduction."""

import numpy as np

from ann2sdnn.data.synthetic.body.motion import (
    BOTH,
    FloatArray,
    Motion,
    Pose,
    Sides,
    put_weight_on,
    react,
)
from ann2sdnn.data.synthetic.body.rhythm import Rhythm, Stroke
from ann2sdnn.data.synthetic.body.skeleton import Bone


def knee_lift(rng: np.random.Generator, sides: Sides) -> Motion:
    """Lift the knees in front of the body."""
    rhythm = Rhythm(rng, rng.uniform(1.7, 2.8))
    hip, knee = rng.uniform(70, 105), rng.uniform(75, 105)
    lean, arm = rng.uniform(2, 6), rng.uniform(0, 14)

    def move(time_s: FloatArray, pose: Pose) -> None:
        course = rhythm.stroke(time_s, Stroke(0.34, 0.08, 0.36))
        for side in sides:
            pose.turn(Bone.THIGH + side, flexion=hip * course)
            pose.turn(Bone.SHIN + side, flexion=knee * course)
            pose.turn(Bone.FOOT + side, flexion=-15.0 * course)
            put_weight_on(pose, side.other, course, 4.0)
            pose.turn(Bone.UPPER_ARM + side.other, flexion=arm * course)
        react(pose, sides, course, lean=lean, twist=-3.0)
        pose.lean(forward=-2.0 * course)
        for side in BOTH:
            pose.turn(Bone.UPPER_ARM + side, abduction=arm * course)

    return move


def kick(rng: np.random.Generator, sides: Sides) -> Motion:
    """Kick forwards."""
    rhythm = Rhythm(rng, rng.uniform(1.4, 2.3))
    hip, knee = rng.uniform(50, 80), rng.uniform(55, 85)
    lean, arm = rng.uniform(6, 14), rng.uniform(8, 25)

    def move(time_s: FloatArray, pose: Pose) -> None:
        raised = rhythm.stroke(time_s, Stroke(0.26, 0.08, 0.30))
        cocked = rhythm.stroke(time_s, Stroke(0.16, 0.0, 0.18))
        for side in sides:
            pose.turn(Bone.THIGH + side, flexion=hip * raised - 12.0 * cocked)
            pose.turn(Bone.SHIN + side, flexion=8.0 * raised + knee * cocked)
            pose.turn(Bone.FOOT + side, flexion=-20.0 * raised)
            put_weight_on(pose, side.other, raised, 3.5)
            pose.turn(Bone.UPPER_ARM + side.other, flexion=arm * raised)
        pose.lean(forward=-lean * raised)
        for side in BOTH:
            pose.turn(Bone.UPPER_ARM + side, abduction=arm * raised)

    return move


def leg_aside(
    rng: np.random.Generator,
    sides: Sides,
    *,
    period_s: tuple[float, float],
    size: tuple[float, float],
) -> Motion:
    """Raise the stretched leg sideways by ``size`` degrees."""
    period, degrees = rng.uniform(*period_s), rng.uniform(*size)
    rhythm = Rhythm(rng, period)
    lean, arm = degrees * rng.uniform(0.2, 0.35), rng.uniform(4, 25)

    def move(time_s: FloatArray, pose: Pose) -> None:
        course = rhythm.stroke(time_s, Stroke(0.30, 0.05, 0.34))
        for side in sides:
            pose.turn(Bone.THIGH + side, abduction=degrees * course)
            pose.turn(Bone.SHIN + side, flexion=10.0 * course)
            put_weight_on(pose, side.other, course, 3.5)
        react(pose, sides, course, lean=lean, twist=2.0)
        for side in BOTH:
            pose.turn(Bone.UPPER_ARM + side, abduction=arm * course)

    return move
