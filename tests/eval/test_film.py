"""The moving picture of an evaluation."""

import io

import numpy as np
from PIL import Image

from ann2sdnn.data.pose.joints import BONES
from ann2sdnn.eval.render.frames.film import shade, to_webp
from ann2sdnn.eval.results.examples import Example, Film, Points

ORANGE = (213, 94, 0)


def example(number: int) -> Example:
    pixels = np.stack([np.arange(13) * 5 + 20, np.arange(13) * 4 + 10], axis=1)
    points = Points(pixels, np.ones(13, bool))
    frame = np.zeros((80, 100), np.uint8)
    frame[10 + number, 50] = 255
    return Example(f"frame {number}", frame, BONES, points, points, None)


def pictures(film: Film) -> list[Image.Image]:
    with Image.open(io.BytesIO(to_webp(film))) as moving:
        shown = []
        for number in range(getattr(moving, "n_frames", 1)):
            moving.seek(number)
            shown.append(moving.convert("RGB"))
        return shown


def test_a_film_has_every_frame_and_repeats() -> None:
    shares = np.array([[0.3, 0.3], [0.0, 0.3], [0.01, 0.0]])
    film = Film(tuple(map(example, range(3))), ("input", "conv"), shares)
    shown = pictures(film)
    assert len(shown) == 3
    with Image.open(io.BytesIO(to_webp(film))) as moving:
        assert moving.info["loop"] == 0
    # The cell of the input: full in the first frame, white in the second, between in the third.
    cells = [np.array(each)[110, 20].astype(int) for each in shown]
    assert np.abs(cells[0] - ORANGE).max() < 30
    assert cells[1].min() > 235
    assert cells[0][2] < cells[2][2] < cells[1][2]


def test_shades_grow_with_the_logarithm_of_the_share() -> None:
    assert shade(0.0) == shade(1e-3) == (255, 255, 255)
    assert shade(0.3) == shade(1.0) == ORANGE
    middle = shade(float(np.sqrt(1e-3 * 0.3)))
    assert middle == tuple(round((255 + each) / 2) for each in ORANGE)
