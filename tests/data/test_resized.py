"""Resized sequences: by hand, against Pillow, and what stays with the frames."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from networks import ArrayRun
from PIL import Image

from ann2sdnn.data.sources.labels import LabelledFrames, Targets
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.graph.preprocessing import resize_frames


def test_halving_averages_and_doubling_interpolates() -> None:
    """Pixel centres are kept: 0, 8 becomes 0, 2, 6, 8."""
    row = torch.tensor([0, 8], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert resize_frames(row, (1, 4)).flatten().tolist() == [0, 2, 6, 8]
    # Shrinking weighs with a triangle of twice the width: no pixel is left out.
    square = torch.full((1, 1, 4, 4), 100, dtype=torch.uint8)
    assert resize_frames(square, (2, 2)).flatten().tolist() == [100] * 4


@pytest.mark.parametrize("size", [(7, 9), (40, 13), (16, 20)])
def test_pixels_are_those_of_pillow(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 20)).astype(np.uint8)
    found = resize_frames(torch.from_numpy(frames), size)
    assert found.dtype == torch.uint8
    for frame, ours in zip(frames, found.numpy(), strict=True):
        picture = Image.fromarray(frame.transpose(1, 2, 0))
        theirs = picture.resize(size[::-1], Image.Resampling.BILINEAR)
        difference = ours.astype(int) - np.asarray(theirs, int).transpose(2, 0, 1)
        assert np.abs(difference).max() <= 1  # Pillow rounds after each axis


def test_float32_frames_are_not_rounded() -> None:
    frames = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    assert resize_frames(frames, (1, 4)).flatten().tolist() == [0, 0.25, 0.75, 1]


@dataclass(frozen=True, eq=False)
class Classified(ArrayRun):
    """Frames whose classes are their numbers."""

    def targets(self) -> Targets:
        return np.arange(self.n_frames)


def test_sequences_keep_their_order_and_classes() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (7, 2, 8, 10)).astype(np.uint8)
    run = ArrayRun(frames, "one", "group")
    assert resized([run], None) == (run,)
    assert resized([run], (8, 10)) == (run,)
    (small,) = resized([run], (4, 5))
    assert (small.name, small.group, small.n_frames, small.shape) == ("one", "group", 7, (2, 4, 5))
    whole = np.concatenate(list(small.chunks(3)))
    assert np.array_equal(whole, resize_frames(torch.from_numpy(frames), (4, 5)).numpy())
    assert np.array_equal(np.concatenate(list(small.part(2, 5).chunks())), whole[2:5])
    assert not isinstance(small, LabelledFrames)
    (labelled,) = resized([Classified(frames)], (4, 5))
    assert isinstance(labelled, LabelledFrames)
    assert labelled.targets().tolist() == list(range(7))
