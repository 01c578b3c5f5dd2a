"""Varied copies of sequences: of the same kind, repeatable, and really different."""

import numpy as np
import pytest
from networks import ArrayRun
from numpy.typing import NDArray

from ann2sdnn.data.sources.varied import VariedFrames, varied


def sparse_frames(n_frames: int = 12) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 200, (n_frames, 1, 24, 32)).astype(np.uint8)
    frames[rng.random(frames.shape) < 0.9] = 0
    return frames


def copies(kind: int, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    chunks = [
        np.asarray(chunk, np.uint8) for chunk in VariedFrames(ArrayRun(frames), kind).chunks()
    ]
    return np.concatenate(chunks)


@pytest.mark.parametrize("kind", range(4))
def test_a_copy_has_the_same_type_and_size_and_is_repeatable(kind: int) -> None:
    frames = sparse_frames()
    first, second = copies(kind, frames), copies(kind, frames)
    assert first.dtype == np.uint8
    assert first.shape == frames.shape
    assert (first == second).all()
    assert (first != frames).any(axis=(1, 2, 3)).all()


def test_a_part_of_a_copy_is_the_copy_of_a_part() -> None:
    frames = sparse_frames()
    for kind in range(4):
        part = VariedFrames(ArrayRun(frames), kind).part(5, 11)
        found = np.concatenate(list(part.chunks(4)))
        assert (found == copies(kind, frames)[5:11]).all()


def test_kinds_do_what_they_say() -> None:
    frames = sparse_frames()
    dense = [float((copies(kind, frames) > 0).mean()) for kind in range(4)]
    share = float((frames > 0).mean())
    assert dense[0] == pytest.approx(share)
    assert dense[1] == pytest.approx(0.4 * share, rel=0.2)
    assert dense[2] > 1.7 * share
    assert (copies(0, frames)[..., ::-1] >= frames).all()
    thinned = copies(1, frames)
    assert ((thinned == frames) | (thinned == 0)).all()


def test_pictures_without_many_zeros_are_not_thinned() -> None:
    frames = np.full((2, 3, 16, 16), 100, np.uint8)
    assert (copies(1, frames) == 60).all()
    assert (copies(2, frames) == 100).all()


def test_every_sequence_has_a_copy_and_kinds_take_turns() -> None:
    runs = [ArrayRun(sparse_frames(2)) for _ in range(5)]
    assert [copy.kind for copy in varied(runs)] == [0, 1, 2, 3, 0]
