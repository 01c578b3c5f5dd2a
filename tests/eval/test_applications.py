"""Networks with data of their own, at default options: what docs/your-network.md says of them."""

from dataclasses import dataclass

import numpy as np
import pytest
from applications_script import folder_of, row, script

from ann2sdnn.convert.folder import open_conversion


@dataclass(frozen=True)
class Claim:
    """What holds with a margin for other processors, on which training ends in other weights.

    ``ann``: accuracy or mean IoU at least, or error at most. ``loss``: how much worse the SDNN may
    be; ``difference``: from the ANN at most. ``of_dense``: operations at most, as a share of the
    ANN's. ``gain``: memoryless operations over those of the SDNN, at least.
    """

    ann: float
    loss: float
    difference: float
    of_dense: float
    gain: float


CLAIMS = {
    "digits": Claim(ann=0.90, loss=0.03, difference=0.04, of_dense=0.85, gain=0.99),
    "moving-digits": Claim(ann=0.85, loss=0.04, difference=0.08, of_dense=0.30, gain=1.2),
    "shapes": Claim(ann=0.90, loss=0.03, difference=0.04, of_dense=0.25, gain=1.5),
    "motion": Claim(ann=0.85, loss=0.02, difference=0.03, of_dense=0.65, gain=0.8),
    "drive": Claim(ann=0.03, loss=0.003, difference=0.008, of_dense=0.30, gain=1.3),
    "drive-held": Claim(ann=0.03, loss=0.003, difference=0.010, of_dense=0.10, gain=3.0),
    "resnet": Claim(ann=0.85, loss=0.03, difference=0.03, of_dense=0.60, gain=1.1),
    "unet": Claim(ann=0.65, loss=0.02, difference=0.02, of_dense=0.55, gain=1.1),
}
QUICK = ("digits", "motion")
NAMES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CLAIMS]


def test_every_application_has_a_claim() -> None:
    assert list(script().APPLICATIONS) == list(CLAIMS)


@pytest.mark.parametrize("name", NAMES)
def test_the_sdnn_is_as_good_as_the_ann_for_fewer_operations(name: str) -> None:
    measured, claim = row(name), CLAIMS[name]
    scores = measured.scores
    if scores.are_errors:
        assert scores.ann <= claim.ann
        assert scores.sdnn <= scores.ann + claim.loss
    else:
        assert scores.ann >= claim.ann
        assert scores.sdnn >= scores.ann - claim.loss
    assert 0 <= scores.difference <= claim.difference
    assert 0 < measured.sdnn_operations <= claim.of_dense * measured.dense_operations
    assert measured.memoryless_operations >= claim.gain * measured.sdnn_operations


@pytest.mark.parametrize("name", NAMES)
def test_the_conversion_takes_its_input_from_the_files_metadata(name: str) -> None:
    row(name)
    application = script().APPLICATIONS[name]
    conversion = open_conversion(folder_of(name) / "sdnn")
    assert conversion.graph.input_scale == pytest.approx(application.scale)
    entering = conversion.spec.preprocessing  # empty: a mean of 0, a deviation of 1
    assert (entering.mean or (0.0,)) == pytest.approx(application.mean)
    assert (entering.std or (1.0,)) == pytest.approx(application.std)
    with np.load(folder_of(name) / "test.npz") as test:
        labels = test["maps" if name == "unet" else "labels"]
        assert test["lengths"].sum() == len(test["frames"]) == len(labels)


def test_pixels_are_held_until_they_change_by_more() -> None:
    """Two sequences of one pixel, by hand; the second begins as it is."""
    frames = np.array([10, 14, 15, 10, 4, 12, 11], np.uint8).reshape(-1, 1, 1, 1)
    made = script().MOVING.sequences()  # of the class
    drawn = type(made)(frames, np.zeros(7, np.int64), np.array([5, 2]))
    assert drawn.held(4).frames.ravel().tolist() == [10, 10, 15, 10, 4, 12, 12]
    assert drawn.held(0).frames.ravel().tolist() == frames.ravel().tolist()
