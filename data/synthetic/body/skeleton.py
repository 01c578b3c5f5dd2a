"""The articulated skeleton: bones, joint angles, forward kinematics, and the 13 DHP19 markers.

Axes of the body at rest, standing with hanging arms and facing the front cameras: x to the
subject's left, y backwards, z up. With a heading of 0 they are the axes of the room.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.joints import JOINTS

FloatArray = NDArray[np.float64]


class Side(IntEnum):
    """A side of the body; DHP19 lists the right one first."""

    RIGHT = 0
    LEFT = 1

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side(1 - self)


class Bone(IntEnum):
    """The bones; a bone's parent always has a smaller number, and left is right + 1."""

    PELVIS = 0
    ABDOMEN = 1
    CHEST = 2
    HEAD = 3
    CLAVICLE = 4
    CLAVICLE_L = 5
    UPPER_ARM = 6
    UPPER_ARM_L = 7
    FOREARM = 8
    FOREARM_L = 9
    HAND = 10
    HAND_L = 11
    THIGH = 12
    THIGH_L = 13
    SHIN = 14
    SHIN_L = 15
    FOOT = 16
    FOOT_L = 17


N_BONES = len(Bone)

# Offsets at rest from the parent bone, in body heights, for the middle and the left side.
# Segment lengths after Drillis and Contini (1966), as tabulated by Winter, "Biomechanics and
# Motor Control of Human Movement".
_OFFSETS = {
    Bone.ABDOMEN: (Bone.PELVIS, (0.0, 0.0, 0.055)),
    Bone.CHEST: (Bone.ABDOMEN, (0.0, 0.0, 0.085)),
    Bone.HEAD: (Bone.CHEST, (0.0, 0.0, 0.180)),
    Bone.CLAVICLE: (Bone.CHEST, (0.020, 0.0, 0.142)),
    Bone.UPPER_ARM: (Bone.CLAVICLE, (0.088, 0.005, 0.006)),
    Bone.FOREARM: (Bone.UPPER_ARM, (0.0, 0.0, -0.180)),
    Bone.HAND: (Bone.FOREARM, (0.0, 0.0, -0.146)),
    Bone.THIGH: (Bone.PELVIS, (0.052, 0.0, 0.0)),
    Bone.SHIN: (Bone.THIGH, (0.0, 0.0, -0.245)),
    Bone.FOOT: (Bone.SHIN, (0.0, 0.0, -0.246)),
}
ANKLE_HEIGHT = 0.039  # body heights
_HEEL = (0.0, 0.030, -ANKLE_HEIGHT)
_TOE = (0.0, -0.115, -ANKLE_HEIGHT)

# DHP19's labels follow motion-capture markers, which sit on the skin: crown, acromion, front of
# the iliac crest (so on the pelvis, not the thigh), toe joint. Body heights, left side.
_MARKERS = {
    "head": (Bone.HEAD, (0.0, -0.005, 0.118)),
    "shoulder": (Bone.UPPER_ARM, (0.0, 0.0, 0.020)),
    "elbow": (Bone.FOREARM, (0.0, 0.0, 0.0)),
    "hand": (Bone.HAND, (0.0, 0.0, -0.040)),
    "hip": (Bone.PELVIS, (0.068, -0.035, 0.040)),
    "knee": (Bone.SHIN, (0.0, 0.0, 0.0)),
    "foot": (Bone.FOOT, (0.0, -0.075, -0.022)),
}


def _two_sided(bone: Bone) -> bool:
    return bone >= Bone.CLAVICLE


def _angle_signs() -> FloatArray:
    """Sign of (flexion, abduction, twist) about the axes (x, y, z), for each bone [B, 3].

    Flexion moves arms, thighs and toes forward, the shin backward, and bends the trunk forward;
    abduction moves a limb away from the body and the trunk to the left; a limb twists inwards
    and the trunk to the left.
    """
    signs = np.ones((N_BONES, 3))
    for bone in Bone:
        if not _two_sided(bone):
            continue
        left = bone % 2 == 1
        signs[bone] = (-1.0, -1.0 if left else 1.0, -1.0 if left else 1.0)
        if bone in (Bone.SHIN, Bone.SHIN_L):
            signs[bone, 0] = 1.0
    return signs


_SIGNS = _angle_signs()


@dataclass(frozen=True)
class Placement:
    """Where the bones are: ``rotation`` [T, B, 3, 3] and ``origin_mm`` [T, B, 3] in the room."""

    rotation: FloatArray
    origin_mm: FloatArray

    def points(self, bone: int, local_mm: FloatArray) -> FloatArray:
        """Room coordinates [T, 3] of one point of a bone."""
        return np.asarray(self.rotation[:, bone] @ local_mm + self.origin_mm[:, bone])

    def moved(self, shift_mm: FloatArray) -> "Placement":
        """The same bones, shifted by [T, 3]."""
        return Placement(self.rotation, self.origin_mm + shift_mm[:, None])


@dataclass(frozen=True)
class Skeleton:
    """Bone lengths of one person; ``shoulder_width`` scales the clavicles."""

    height_mm: float
    shoulder_width: float = 1.0
    leg_length: float = 1.0

    def offset_mm(self, bone: Bone) -> FloatArray:
        """Rest offset [3] of ``bone`` from its parent's origin."""
        right = Bone(bone - 1) if _two_sided(bone) and bone % 2 else bone
        offset = np.array(_OFFSETS[right][1]) * self.height_mm
        if right is Bone.UPPER_ARM:
            offset[0] *= self.shoulder_width
        if right in (Bone.SHIN, Bone.FOOT):
            offset *= self.leg_length
        return offset if bone % 2 or not _two_sided(bone) else offset * (-1.0, 1.0, 1.0)

    def place(self, angles: FloatArray) -> Placement:
        """Forward kinematics of joint angles [T, B, 3] in radians, pelvis at the origin."""
        local = _rotations(angles * _SIGNS)
        rotation = np.empty_like(local)
        origin = np.zeros((len(angles), N_BONES, 3))
        rotation[:, Bone.PELVIS] = local[:, Bone.PELVIS]
        for bone in list(Bone)[1:]:
            parent = _parent(bone)
            rotation[:, bone] = rotation[:, parent] @ local[:, bone]
            origin[:, bone] = origin[:, parent] + rotation[:, parent] @ self.offset_mm(bone)
        return Placement(rotation, origin)

    def soles(self, placement: Placement) -> FloatArray:
        """Heel and toe of the right and the left foot: [T, 2 feet, 2, 3]."""
        feet = [
            np.stack(
                [placement.points(foot, np.array(p) * self.height_mm) for p in (_HEEL, _TOE)], 1
            )
            for foot in (Bone.FOOT, Bone.FOOT_L)
        ]
        return np.stack(feet, axis=1)

    def markers(self, placement: Placement) -> FloatArray:
        """The 13 joints [T, 13, 3] in mm, in the order of DHP19's label files."""
        return np.stack([placement.points(*self._marker(joint)) for joint in JOINTS], axis=1)

    def _marker(self, joint: str) -> tuple[int, FloatArray]:
        bone, offset = _MARKERS[joint.rstrip("RL")]
        left = joint.endswith("L")
        mirror = (1.0 if left else -1.0, 1.0, 1.0)
        number = bone + left if _two_sided(bone) else bone
        return number, np.array(offset) * mirror * self.height_mm


def heading_matrix(heading_rad: float) -> FloatArray:
    """Rotation [3, 3] about the vertical; positive turns the subject to its left."""
    c, s = np.cos(heading_rad), np.sin(heading_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _parent(bone: Bone) -> Bone:
    if not _two_sided(bone):
        return _OFFSETS[bone][0]
    parent = _OFFSETS[Bone(bone - bone % 2)][0]
    return Bone(parent + bone % 2) if _two_sided(parent) else parent


def _rotations(angles: FloatArray) -> FloatArray:
    """Matrices [..., 3, 3] of angles [..., 3] about x, y, z: R = Ry Rx Rz."""
    (cx, cy, cz), (sx, sy, sz) = (np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin))
    return np.stack(
        [
            np.stack([cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx], -1),
            np.stack([cx * sz, cx * cz, -sx], -1),
            np.stack([-sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx], -1),
        ],
        axis=-2,
    )
