"""Where synthetic labels put the joints."""

import numpy as np

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.synthetic.labels import labelled_points
from ann2sdnn.data.synthetic.options import SynthOptions


def test_published_labels_are_markers_raised() -> None:
    markers = np.random.default_rng(0).normal(0, 500, (5, 13, 3))
    assert labelled_points(markers, "markers") is markers
    raised = labelled_points(markers, SynthOptions().labels)
    assert (raised[..., :2] == markers[..., :2]).all()
    rise = raised[0, :, 2] - markers[0, :, 2]
    assert np.isclose(rise[JOINTS.index("head")], 73.0)
    assert np.isclose(rise[JOINTS.index("footL")], 45.0)
    assert np.isclose(rise[JOINTS.index("handR")], rise[JOINTS.index("handL")])
