"""A small classifier and a small regressor with labelled frames, and a source that reads them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx_models import ModelBuilder

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.arrays import ArrayFrames, LabelledArrayFrames
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import Targets
from ann2sdnn.data.sources.source import SourceOptions

SUFFIX = ".labelled.npz"
SIZE = 8
N_CLASSES = 4  # the quarter of the picture that the bright square is in


def quarters(
    n_sequences: int, length: int, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Frames [S, T, 1, 8, 8] of a bright square that wanders in noise, and its quarter [S, T]."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 40, (n_sequences, length, 1, SIZE, SIZE)).astype(np.uint8)
    kinds = np.zeros((n_sequences, length), np.int64)
    for sequence in range(n_sequences):
        row, column = rng.integers(0, SIZE - 2, 2)
        for step in range(length):
            column = (column + step % 2) % (SIZE - 2)
            frames[sequence, step, 0, row : row + 3, column : column + 3] = 220
            kinds[sequence, step] = 2 * (row + 1 >= SIZE // 2) + (column + 1 >= SIZE // 2)
    return frames, kinds


def write_quarter_network(path: Path, *, gain: float = 1.0, is_even: bool = True) -> Path:
    """A classifier by hand: a blur, then the sum over each quarter as that quarter's score.

    Without ``is_even`` the weights of the blur differ, so that rounding changes them.
    """
    builder = ModelBuilder(("N", 1, SIZE, SIZE))
    blur = np.full(9, gain / 9) if is_even else gain / 9 * np.linspace(0.3, 1.7, 9)
    builder.add("Conv", blur.reshape(1, 1, 3, 3).astype(np.float32), pads=(1, 1, 1, 1))
    builder.add("Relu").add("Flatten")
    rows, columns = np.divmod(np.arange(SIZE * SIZE), SIZE)
    quarter = 2 * (rows >= SIZE // 2) + (columns >= SIZE // 2)
    weights = np.stack([quarter == number for number in range(N_CLASSES)]).astype(np.float32)
    builder.add("Gemm", weights / 8, transB=1)
    builder.metadata["ann2sdnn.input_scale"] = str(1 / 255)
    return builder.save(path)


def write_labelled(path: Path, frames: NDArray[np.uint8], labels: Targets | None) -> Path:
    """A file for ``LabelledSource``: ``frames`` [S, T, C, H, W], and labels [S, T, ...] or none."""
    with path.open("wb") as file:
        if labels is None:
            np.savez(file, frames=frames)
        else:
            np.savez(file, frames=frames, labels=labels)
    return path


@dataclass(frozen=True)
class LabelledSource:
    """Files of ``write_labelled``; every sequence is a group, and every side the whole file."""

    name: str = "labelled arrays"
    options: tuple[type[SourceOptions], ...] = ()

    def recognises(self, path: Path) -> bool:
        return path.name.endswith(SUFFIX)

    def files(self, path: Path) -> tuple[Path, ...]:
        return (path,)

    def open(self, path: Path, options: SourceOptions | None, split: Side) -> tuple[Frames, ...]:
        with np.load(path) as file:
            stored = dict(file)
        names = [f"sequence {number}" for number in range(len(stored["frames"]))]
        if "labels" not in stored:
            pairs = zip(stored["frames"], names, strict=True)
            return tuple(ArrayFrames(frames, name, name) for frames, name in pairs)
        rows = zip(stored["frames"], stored["labels"], names, strict=True)
        return tuple(LabelledArrayFrames(x, name, name, labels) for x, labels, name in rows)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        return ()
