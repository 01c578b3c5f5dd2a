"""Heat maps drawn and decoded."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ann2sdnn.data.pose.heatmaps import decode_heatmaps, draw_heatmaps

HEIGHT, WIDTH = 24, 40


def _draw(column: int, row: int, *, visible: bool = True) -> torch.Tensor:
    """Map [H, W] of one joint."""
    pixels = torch.tensor([[[column, row]]])
    return draw_heatmaps(pixels, torch.tensor([[visible]]), HEIGHT, WIDTH)[0, 0]


def test_values_of_the_gaussian() -> None:
    heatmap = _draw(10, 7)
    assert heatmap.dtype == torch.float32
    assert heatmap.shape == (HEIGHT, WIDTH)
    assert heatmap[7, 10] == 1.0
    # sigma is 4 px: one sigma to the right, then 3 down and 4 to the left (a distance of 5)
    assert heatmap[7, 14].item() == pytest.approx(math.exp(-0.5))
    assert heatmap[10, 6].item() == pytest.approx(math.exp(-25 / 32))


def test_masked_joints_are_silent() -> None:
    assert not _draw(10, 7, visible=False).any()


def test_a_joint_outside_a_crop_shows_its_tail() -> None:
    assert _draw(-4, 7)[7, 0].item() == pytest.approx(math.exp(-0.5))


def test_the_gaussians_energy_is_pi_sigma_squared() -> None:
    pixels = torch.tensor([[[60, 50]]])
    heatmap = draw_heatmaps(pixels, torch.ones(1, 1, dtype=torch.bool), 100, 120)
    assert heatmap.square().sum().item() == pytest.approx(math.pi * 16, rel=1e-5)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1)), min_size=13, max_size=13
    )
)
def test_decoding_finds_what_was_drawn(joints: list[tuple[int, int]]) -> None:
    pixels = torch.tensor([joints])
    maps = draw_heatmaps(pixels, torch.ones(1, 13, dtype=torch.bool), HEIGHT, WIDTH)
    decoded, confidence = decode_heatmaps(maps)
    assert decoded[0].tolist() == [list(joint) for joint in joints]
    assert decoded.dtype == np.int64
    assert confidence.dtype == np.float32
    assert (confidence == 1.0).all()


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_the_first_of_equal_maxima_counts(form: str) -> None:
    maps = np.zeros((1, 13, 260, 344), np.float32)
    maps[0, 1, 200, 3] = maps[0, 1, 199, 340] = maps[0, 1, 199, 341] = 0.5
    maps[0, 2] = -1.0
    given_maps = maps if form == "numpy" else torch.from_numpy(maps)
    pixels, confidence = decode_heatmaps(given_maps)
    assert pixels[0, 0].tolist() == [0, 0]
    assert pixels[0, 1].tolist() == [340, 199]
    assert pixels[0, 2].tolist() == [0, 0]
    assert confidence[0, :3].tolist() == [0.0, 0.5, -1.0]
