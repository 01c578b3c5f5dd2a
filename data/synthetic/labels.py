"""Where the labels of synthetic recordings put the joints.

The published network was trained on real recordings only. It finds the joints of synthetic people
some 5 px away from the points where motion-capture markers would sit, by the same distance on both
front cameras, so that its points still meet in space: higher, knees and toes further forward,
shoulders, elbows and hands further out. Part of this is there on real frames as well: in the
example of the data set's repository (S16, session 2, movement 1, frame 24) its points lie 4.6 and
4.0 rows above the labels. Which of the two is right cannot be told from that. A network that is
trained on synthetic people and should agree with the published one on real people needs its labels.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.joints import JOINTS

Labels = Literal["published", "markers"]
LABELS: tuple[str, ...] = get_args(Labels)

# (outwards, forwards, up): medians over both sides of what moves a marker to where the published
# network's points of both front cameras meet. Up: 2 people and 33 movements (seed 101); the rest,
# and a correction of it: 6 people and 33 movements (seeds 100 to 102).
_SHIFT_MM = {
    "head": (0.0, 15.0, 75.0),
    "shoulder": (24.0, 5.0, 49.0),
    "elbow": (18.0, -16.0, 39.0),
    "hip": (8.0, -11.0, 60.0),
    "hand": (22.0, 9.0, 63.0),
    "knee": (0.0, 56.0, 71.0),
    "foot": (4.0, 29.0, 59.0),
}
_HIPS = JOINTS.index("hipR"), JOINTS.index("hipL")


def labelled_points(markers_mm: NDArray[np.float64], labels: Labels) -> NDArray[np.float64]:
    """What the label file holds for markers [T, 13, 3] in mm.

    Outwards and forwards are horizontal, and follow from the hips.
    """
    if labels == "markers":
        return markers_mm
    outwards, forwards, up = np.array([_SHIFT_MM[joint.rstrip("RL")] for joint in JOINTS]).T
    sign = np.array([joint.endswith("L") - float(joint.endswith("R")) for joint in JOINTS])
    right, left = (markers_mm[:, hip, :2] for hip in _HIPS)
    to_left = (left - right) / np.linalg.norm(left - right, axis=1, keepdims=True)
    to_front = np.stack([to_left[:, 1], -to_left[:, 0]], axis=1)
    moved = markers_mm.copy()
    moved[..., :2] += (sign * outwards)[:, None] * to_left[:, None]
    moved[..., :2] += forwards[:, None] * to_front[:, None]
    moved[..., 2] += up
    return moved
