"""Where the labels of synthetic recordings put the joints.

The published network was trained on real recordings only, and it finds the joints of synthetic
people some 5 px above the points where motion-capture markers would sit: the same height on both
front cameras, so that the points still meet in space. It does so on real frames as well: in the
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

# Medians over both front cameras and sides, 2 people and 33 movements: what lifts a marker to the
# row where the published network's map has its maximum.
_RISE_MM = {
    "head": 73.0,
    "shoulder": 48.0,
    "elbow": 37.0,
    "hip": 77.0,
    "hand": 63.0,
    "knee": 60.0,
    "foot": 45.0,
}


def labelled_points(markers_mm: NDArray[np.float64], labels: Labels) -> NDArray[np.float64]:
    """What the label file holds for markers [T, 13, 3] in mm."""
    if labels == "markers":
        return markers_mm
    rise = np.array([_RISE_MM[joint.rstrip("RL")] for joint in JOINTS])
    raised = markers_mm.copy()
    raised[..., 2] += rise
    return raised
