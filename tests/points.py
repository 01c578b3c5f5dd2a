"""Conversions with all operating points."""

from pathlib import Path

from ann2sdnn.convert.folder import SPEC_FILE
from ann2sdnn.sdnn.spec.file import read_spec, write_points
from ann2sdnn.sdnn.spec.points import OperatingPoints, with_point
from ann2sdnn.sdnn.spec.spec import Spec


def three_points(lava: Spec, *, higher: int = 8) -> OperatingPoints:
    """``lava``; every second layer memoryless from the input on; and no layer stateful.

    Thresholds of the others are ``higher`` than lava's.
    """
    n_layers = len(lava.layers)
    thresholds = [layer.threshold + higher for layer in lava.layers]
    mixed = [index % 2 == 0 for index in range(n_layers)]
    return OperatingPoints(
        lava,
        with_point(lava, thresholds, mixed, input_is_stateful=False),
        with_point(lava, thresholds, [False] * n_layers, input_is_stateful=False),
    )


def add_points(folder: Path, *, higher: int = 8) -> OperatingPoints:
    """Give the conversion in ``folder`` the points of ``three_points``."""
    points = three_points(read_spec(folder / SPEC_FILE), higher=higher)
    write_points(folder / SPEC_FILE, points, force=True)
    return points
