"""Frames that a Python program has at hand, in every form."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, TensorDataset

from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.given import frames_of, given_frames
from ann2sdnn.data.sources.labels import LabelledFrames
from ann2sdnn.support.errors import DataError

SHAPE = (2, 5, 6)


def sequence(n_frames: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n_frames, *SHAPE), np.uint8)


def once(items: list[Any]) -> Iterator[Any]:
    yield from items


FORMS: dict[str, tuple[Callable[[], Any], list[int]]] = {
    "an array": (sequence, [4]),
    "a tensor": (lambda: torch.from_numpy(sequence()), [4]),
    "a tensor with a gradient": (lambda: torch.rand(3, *SHAPE, requires_grad=True), [3]),
    "an array of sequences": (lambda: np.stack([sequence(), sequence(4, 1)]), [4, 4]),
    "a list": (lambda: [sequence(), torch.from_numpy(sequence(2))], [4, 2]),
    "a generator of sequences": (lambda: once([sequence(), sequence(2)]), [4, 2]),
    "a generator of frames": (lambda: once(list(sequence(5))), [5]),
    "a loader of pictures": (
        lambda: DataLoader(TensorDataset(torch.from_numpy(sequence(5))), batch_size=2),
        [1, 1, 1, 1, 1],
    ),
    "a loader of sequences": (
        lambda: DataLoader(TensorDataset(torch.zeros(3, 4, *SHAPE)), batch_size=2),
        [4, 4, 4],
    ),
    "frames": (lambda: ArrayFrames(sequence()), [4]),
    "several frames": (lambda: (ArrayFrames(sequence()), ArrayFrames(sequence(1))), [4, 1]),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_its_sequences(name: str) -> None:
    make, lengths = FORMS[name]
    sequences = given_frames(make())
    assert [one.n_frames for one in sequences] == lengths
    assert {one.shape for one in sequences} == {SHAPE}
    if "frames" not in name.split():
        assert len({one.group for one in sequences}) == len(lengths)


def test_values_and_types_stay_and_bool_is_0_and_1() -> None:
    (frames,) = given_frames(once(list(sequence(5))))
    assert np.array_equal(next(frames.chunks()), sequence(5))
    (frames,) = given_frames(torch.full((1, *SHAPE), -0.25))
    assert next(frames.chunks()).dtype == np.float32
    assert float(next(frames.chunks()).max()) == -0.25
    (frames,) = given_frames(sequence() > 128)
    assert np.array_equal(next(frames.chunks()), (sequence() > 128).astype(np.uint8))


def targets(frames: Frames) -> list[Any]:
    assert isinstance(frames, LabelledFrames)
    found: list[Any] = frames.targets().tolist()
    return found


def test_labels_come_in_pairs_with_frames() -> None:
    (one,) = given_frames([(sequence(3), np.array([2, 0, 1]))])
    assert targets(one) == [2, 0, 1]
    assert targets(one.part(1, 3)) == [0, 1]
    (one,) = given_frames(zip(sequence(3), (2, 1, 0), strict=True))
    assert targets(one) == [2, 1, 0]
    pictures = TensorDataset(torch.zeros(3, *SHAPE), torch.arange(3))
    assert [targets(one) for one in given_frames(DataLoader(pictures, batch_size=2))] == [
        [0], [1], [2]
    ]  # fmt: skip
    values = TensorDataset(torch.zeros(2, 4, *SHAPE), torch.ones(2, 4, 1) / 2)
    assert targets(given_frames(DataLoader(values))[1]) == [[0.5]] * 4


def test_a_path_is_opened_with_its_options(tmp_path: Path) -> None:
    for number in range(5):
        np.save(tmp_path / f"{number}.npy", sequence(6))
    assert [one.name for one in frames_of(str(tmp_path), split="test")] == ["4"]
    cut = frames_of(tmp_path, split="train", max_frames=9, shortest=3)
    assert [one.n_frames for one in cut] == [3, 3, 3]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (sequence()[0], r"frames are uint8 \[2, 5, 6\]; expected uint8 or float32 \[T, C, H, W\]"),
        (sequence()[:0], "with one or more frames"),
        (sequence().astype(np.int64), r"is int64; expected uint8 or float32, so convert"),
        (sequence().astype(np.float64), r"is float64; .*astype\(numpy\.float32\)"),
        ([], "there are no frames"),
        ([sequence(), sequence()[0]], r"items of an iterable are \[2, 5, 6\], \[4, 2, 5, 6\]"),
        ([sequence()[0], sequence()[0, :, :3]], "one shape and type"),
        ([{"pixels": sequence()}], "item 0 is dict; expected an array"),
        (7, "frames are int; expected an array"),
        (torch.full((2, *SHAPE), torch.nan), "sequence 0: frame 0 holds NaN"),
        ([(sequence(), np.zeros(3))], r"labels of sequence 0 is \[3\] and there are 4 frames"),
        (DataLoader(TensorDataset(torch.zeros(4, 5))), r"frames are float32 \[1, 5\]"),
    ],
)
def test_what_cannot_be_frames_is_one_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        given_frames(given)
    assert "\n" not in str(caught.value)
