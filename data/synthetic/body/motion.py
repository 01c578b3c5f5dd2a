"""Poses over time, with a stance, sway and feet on the ground in every recording."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.synthetic.body.rhythm import Wander
from ann2sdnn.data.synthetic.body.skeleton import (
    N_BONES,
    Bone,
    Placement,
    Side,
    Skeleton,
    heading_matrix,
)

FloatArray = NDArray[np.float64]

Sides = tuple[Side, ...]
BOTH: Sides = (Side.RIGHT, Side.LEFT)

_SWAY_MM = (22.0, 40.0)  # standard deviation of the pelvis, from person to person
_SWAY_HZ = (0.25, 0.9)


class Pose:
    """Joint angles over T times, built up by adding to it.

    ``angles`` [T, B, 3] flexion, abduction, twist in radians (signs in ``skeleton``);
    ``lift_mm`` [T] height of the lower sole above the ground; ``weight`` [T, 2] how much the
    right and the left foot are held in place on the ground (0 lets it slide, as on a treadmill);
    ``shift_mm`` [T, 3] of the whole body.
    """

    def __init__(self, time_s: FloatArray) -> None:
        n = len(time_s)
        self.angles = np.zeros((n, N_BONES, 3))
        self.lift_mm = np.zeros(n)
        self.weight = np.full((n, 2), 0.5)
        self.shift_mm = np.zeros((n, 3))

    def turn(
        self,
        bone: int,
        *,
        flexion: FloatArray | float = 0.0,
        abduction: FloatArray | float = 0.0,
        twist: FloatArray | float = 0.0,
    ) -> None:
        """Add angles in degrees, one value or [T], to a bone's."""
        for axis, degrees in enumerate((flexion, abduction, twist)):
            self.angles[:, bone, axis] += np.radians(degrees)

    def raise_arm(
        self,
        side: Side,
        *,
        flexion: FloatArray | float = 0.0,
        abduction: FloatArray | float = 0.0,
        twist: FloatArray | float = 0.0,
    ) -> None:
        """Turn an upper arm; the shoulder girdle follows by about a quarter of the abduction."""
        girdle = 0.22 * np.asarray(abduction)
        self.turn(Bone.CLAVICLE + side, abduction=girdle, twist=0.12 * np.asarray(flexion))
        self.turn(
            Bone.UPPER_ARM + side,
            flexion=flexion,
            abduction=np.asarray(abduction) - girdle,
            twist=twist,
        )

    def bend_leg(self, side: Side, hip: FloatArray | float, knee: FloatArray | float) -> None:
        """Flex hip and knee and keep the sole level."""
        self.turn(Bone.THIGH + side, flexion=hip)
        self.turn(Bone.SHIN + side, flexion=knee)
        self.turn(Bone.FOOT + side, flexion=np.asarray(knee) - np.asarray(hip))

    def lean(self, *, forward: FloatArray | float = 0.0, left: FloatArray | float = 0.0) -> None:
        """Bend the trunk by degrees, spread over its bones, the head keeping half upright."""
        for bone, share in ((Bone.PELVIS, 0.2), (Bone.ABDOMEN, 0.4), (Bone.CHEST, 0.4)):
            self.turn(bone, flexion=share * np.asarray(forward), abduction=share * np.asarray(left))
        self.turn(Bone.HEAD, flexion=-0.5 * np.asarray(forward), abduction=-0.5 * np.asarray(left))
        for side, outwards in ((Side.RIGHT, -1.0), (Side.LEFT, 1.0)):
            self.turn(
                Bone.THIGH + side,
                flexion=0.2 * np.asarray(forward),
                abduction=0.2 * outwards * np.asarray(left),
            )

    def sway(self, *, left_mm: FloatArray, back_mm: FloatArray, leg_mm: float) -> None:
        """Move the pelvis over feet that stay, by tilting the legs."""
        left, back = np.degrees(left_mm / leg_mm), np.degrees(back_mm / leg_mm)
        for side, outwards in ((Side.RIGHT, 1.0), (Side.LEFT, -1.0)):
            self.turn(Bone.THIGH + side, abduction=outwards * left, flexion=back)
            self.turn(Bone.FOOT + side, abduction=-outwards * left, flexion=-back)


Motion = Callable[[FloatArray, Pose], None]
"""Adds its part to a pose over the given times [T] in seconds."""


@dataclass(frozen=True)
class Performance:
    """One recording's movement: a pure function from times to where the bones are."""

    skeleton: Skeleton
    motions: tuple[Motion, ...]
    place_mm: tuple[float, float]
    heading_rad: float

    def at(self, time_s: FloatArray) -> Placement:
        """Positions of the bones at times [T] in seconds."""
        pose = Pose(time_s)
        for motion in self.motions:
            motion(time_s, pose)
        placed = self.skeleton.place(pose.angles)
        soles = self.skeleton.soles(placed)
        shift = pose.shift_mm.copy()
        shift[:, 2] += pose.lift_mm - soles[..., 2].min(axis=(1, 2))
        nominal = np.array([self.skeleton.offset_mm(Bone(Bone.THIGH + s))[:2] for s in BOTH])
        slip = soles[:, :, 0, :2] - nominal
        shift[:, :2] -= (pose.weight[..., None] * slip).sum(axis=1)
        return self._in_room(placed.moved(shift))

    def markers(self, time_s: FloatArray) -> FloatArray:
        """The 13 joints [T, 13, 3] in mm."""
        return self.skeleton.markers(self.at(time_s))

    def _in_room(self, placed: Placement) -> Placement:
        turn = heading_matrix(self.heading_rad)
        origin = placed.origin_mm @ turn.T + np.array([*self.place_mm, 0.0])
        return Placement(turn @ placed.rotation, origin)


def stance(rng: np.random.Generator, leg_mm: float) -> Motion:
    """Stand as people do: swaying, feet spread, knees slightly bent, arms hanging loosely."""
    legs_out, toes_out = rng.uniform(3.0, 9.0), rng.uniform(2.0, 12.0)
    arms_out, elbows = rng.uniform(5.0, 12.0), rng.uniform(8.0, 22.0)
    sway_mm, give = rng.uniform(*_SWAY_MM), rng.uniform(2.5, 5.0)
    knees = [Wander(rng, 0.3, 1.2) for _ in BOTH]
    ankles = [(Wander(rng, 0.3, 1.2), Wander(rng, 0.2, 0.9)) for _ in BOTH]
    sideways, forwards = Wander(rng, *_SWAY_HZ), Wander(rng, *_SWAY_HZ)
    roll, pitch, turn = (Wander(rng, *_SWAY_HZ) for _ in range(3))
    nod, look = Wander(rng, 0.15, 0.7), Wander(rng, 0.1, 0.5)
    arms = [(Wander(rng, 0.3, 1.2), Wander(rng, 0.3, 1.2)) for _ in BOTH]
    breath_hz, stoop = rng.uniform(0.22, 0.35), rng.normal(2.0, 3.0)

    def move(time_s: FloatArray, pose: Pose) -> None:
        pose.sway(
            left_mm=sway_mm * sideways(time_s),
            back_mm=0.8 * sway_mm * forwards(time_s),
            leg_mm=leg_mm,
        )
        pose.lean(forward=stoop + 1.2 * pitch(time_s), left=1.2 * roll(time_s))
        pose.turn(Bone.CHEST, twist=2.0 * turn(time_s))
        pose.turn(Bone.CHEST, flexion=-0.6 * np.sin(2 * np.pi * breath_hz * time_s))
        pose.turn(Bone.HEAD, flexion=3.0 * nod(time_s), twist=5.0 * look(time_s))
        for side in BOTH:
            swing, spread = arms[side]
            pose.turn(
                Bone.UPPER_ARM + side,
                flexion=2.5 * swing(time_s),
                abduction=arms_out + 1.5 * spread(time_s),
            )
            pose.turn(Bone.FOREARM + side, flexion=elbows + 3.0 * swing(time_s))
            bend = give * (2.4 + knees[side](time_s))
            pose.bend_leg(side, bend, 2 * bend)
            heel, slide = ankles[side]
            pose.turn(Bone.THIGH + side, abduction=legs_out)
            pose.turn(Bone.FOOT + side, abduction=-legs_out, twist=-toes_out + 8.0 * slide(time_s))
            pose.turn(Bone.FOOT + side, flexion=5.0 * heel(time_s))

    return move


def outwards(side: Side) -> float:
    """Sign that makes "to the left" mean "away from the body's middle" on ``side``."""
    return 1.0 if side is Side.LEFT else -1.0


def react(pose: Pose, sides: Sides, course: FloatArray, *, lean: float, twist: float) -> None:
    """The trunk leans away from the moving limbs and turns with them."""
    for side in sides:
        pose.lean(left=-outwards(side) * lean * course)
        pose.turn(Bone.CHEST, twist=-outwards(side) * twist * course)


def put_weight_on(pose: Pose, side: Side, course: FloatArray, degrees: float) -> None:
    """Shift the pelvis over one foot, which then stays in place."""
    pose.weight[:, side] += 0.5 * np.clip(course, 0, 1)
    pose.weight[:, side.other] -= 0.5 * np.clip(course, 0, 1)
    left = -outwards(side)
    for leg in BOTH:
        tilt = outwards(leg) * left * degrees * course
        pose.turn(Bone.THIGH + leg, abduction=tilt)
        pose.turn(Bone.FOOT + leg, abduction=-tilt)
