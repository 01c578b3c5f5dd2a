"""Training samples: single pictures with their joints, cropped and mirrored at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.pose.scale import PictureScale
from ann2sdnn.data.recordings.options import CROP_MULTIPLE
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.preprocessing import resize_frames
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.memory import available_bytes
from ann2sdnn.support.options.fields import CheckedOptions, size

# Data sets whose pictures fit are held in memory; larger ones are read during training.
_FREE = available_bytes()
CACHE_BYTES = 10**9 if _FREE is None else _FREE // 8

Places: TypeAlias = NDArray[np.int64] | NDArray[np.float32]
"""Joints (column, row) [..., 2] in a picture."""

_RESIZED_AT_ONCE = 16  # pictures, which are float32 meanwhile
_SWAP = str.maketrans("LR", "RL")
# The joint that a mirror shows in each joint's place: left and right change, the head stays.
MIRRORED_JOINTS = tuple(
    JOINTS.index(name[:-1] + name[-1].translate(_SWAP)) if name[-1] in "LR" else JOINTS.index(name)
    for name in JOINTS
)


class Sample(NamedTuple):
    """One picture (or, collated, a batch with a leading axis).

    ``frame`` [1, H, W] uint8; ``pixels`` [13, 2] (column, row) in that picture, which may lie
    outside it after cropping: int64, and float32 in resized pictures; ``visible`` [13] bool.
    """

    frame: torch.Tensor
    pixels: torch.Tensor
    visible: torch.Tensor


@dataclass(frozen=True)
class Augmentation(CheckedOptions):
    """Random changes of pictures."""

    crop: tuple[int, int] | None = size(None, multiple=CROP_MULTIPLE, option="--crop")
    """Height and width in pixels of a window on the person; None leaves pictures whole."""
    mirror: bool = False
    """Flip half of the pictures left to right, left joints becoming right."""

    def check_size(self, height: int, width: int) -> None:
        """Raise UsageError where the window is larger than frames of this size."""
        if self.crop and (self.crop[0] > height or self.crop[1] > width):
            raise UsageError(
                f"a crop of {self.crop[0]}x{self.crop[1]} pixels is larger than the frames,"
                f" {height}x{width}; give a smaller one, or none"
            )

    def window(
        self,
        frame_shape: tuple[int, ...],
        pixels: Places,
        visible: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> "Window":
        """Choose a window, never padded, for frames (height, width) with these joints.

        ``pixels`` [..., 13, 2] (column, row); ``visible`` [..., 13].
        """
        top, left = (
            _corner(frame_shape, pixels, visible, self.crop, random) if self.crop else (0, 0)
        )
        mirrored = self.mirror and random.random() < 0.5
        return Window(top, left, self.crop or frame_shape, mirrored)

    def __call__(
        self,
        frames: NDArray[Any],
        pixels: Places,
        visible: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> tuple[NDArray[Any], Places, NDArray[np.bool_]]:
        """One window of ``frames`` [..., H, W], and the joints in it, as of ``window``."""
        return self.window(frames.shape[-2:], pixels, visible, random)(frames, pixels, visible)


@dataclass(frozen=True)
class Window:
    """The part of a picture that is shown: its first row and column, its size, and whether left
    and right are exchanged.
    """

    top: int
    left: int
    size: tuple[int, ...]
    mirrored: bool

    def __call__(
        self, frames: NDArray[Any], pixels: Places, visible: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], Places, NDArray[np.bool_]]:
        """The part of ``frames`` [..., H, W], and the joints [..., 13] in it."""
        height, width = self.size
        frames = frames[..., self.top : self.top + height, self.left : self.left + width]
        pixels = pixels - np.array((self.left, self.top), pixels.dtype)
        if self.mirrored:
            # The right elbow then looks like a left one, and is labelled as one.
            frames = frames[..., ::-1]
            pixels = pixels[..., list(MIRRORED_JOINTS), :]
            pixels[..., 0] = width - 1 - pixels[..., 0]
            visible = visible[..., list(MIRRORED_JOINTS)]
        return frames, pixels, visible


@dataclass(frozen=True)
class Follower:
    """Stands for the picture after picture ``of``, in the window of ``of``."""

    of: int


class PoseSamples(torch.utils.data.Dataset[Sample]):
    """Every (recording, frame, channel) as one sample.

    A sample's random numbers depend on (seed, epoch, index) alone, so that an interrupted training
    run sees the same pictures when it resumes. ``epoch`` may be set between epochs. A ``Follower``
    gives the picture after another one. Pictures are resized to ``resize`` (height, width) as a
    conversion's frames are, then cropped; ``pixels`` [n, 13, 2] are the joints of all samples in
    whole pictures, and ``scale`` leads there. Raises DataError for an empty data set and UsageError
    for a crop larger than the pictures.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        channels: Sequence[int],
        augmentation: Augmentation | None = None,
        *,
        resize: Pair | None = None,
        seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.recordings = tuple(recordings)
        self.channels = tuple(channels)
        self.augmentation = augmentation or Augmentation()
        self.seed, self.epoch = seed, 0
        self._ends = np.cumsum(
            [recording.n_frames for recording in self.recordings], dtype=np.int64
        )
        if not len(self):
            raise DataError(
                f"there is nothing to train or test on: {len(self.recordings)} recordings with "
                f"{self._n_frames} frames and {len(self.channels)} channels"
            )
        self.whole_size = (self.recordings[0].height, self.recordings[0].width)
        self.height, self.width = resize or self.whole_size
        self.scale = PictureScale.between(self.whole_size, (self.height, self.width))
        self.augmentation.check_size(self.height, self.width)
        self.pixels, self.visible = self._project()
        fits = len(self) * self.height * self.width <= cache_bytes
        self._cache = self._read_all() if fits else None

    @property
    def cached(self) -> bool:
        """Whether the pictures are held in memory."""
        return self._cache is not None

    def __len__(self) -> int:
        return self._n_frames * len(self.channels)

    def __getitem__(self, index: int | Follower) -> Sample:
        if isinstance(index, Follower):
            leader, shown = index.of, self._after(index.of)
        else:
            leader = shown = index
        random = np.random.default_rng((self.seed, self.epoch, leader))
        size = (self.height, self.width)
        seen, pixels = (self.scale.to_resized(self.pixels[each]) for each in (leader, shown))
        window = self.augmentation.window(size, seen, self.visible[leader], random)
        frame, pixels, visible = window(self._picture(shown), pixels, self.visible[shown])
        return Sample(
            torch.from_numpy(np.ascontiguousarray(frame)[None]),
            torch.from_numpy(pixels),
            torch.from_numpy(visible),
        )

    @property
    def _n_frames(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _recording_of(self, number: int) -> int:
        """Which recording holds frame ``number`` of all frames."""
        return int(np.searchsorted(self._ends, number, side="right"))

    def _after(self, index: int) -> int:
        """The next picture of the same camera; the one before where ``index`` is a recording's
        last, and ``index`` itself where it is the only one.
        """
        n = len(self.channels)
        number = index // n
        which = self._recording_of(number)
        if number + 1 < self._ends[which]:
            return index + n
        return index - n if self.recordings[which].n_frames > 1 else index

    def _picture(self, index: int) -> NDArray[np.uint8]:
        """Return the frame [H, W] of one sample."""
        number, channel = divmod(index, len(self.channels))
        if self._cache is not None:
            return np.asarray(self._cache[number, channel])
        which = self._recording_of(number)
        recording = self.recordings[which]
        first = int(self._ends[which]) - recording.n_frames
        whole = recording.frames([number - first], [self.channels[channel]])
        return np.asarray(self._resized(whole)[0, 0])

    def _resized(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Whole ``pictures`` [n, C, 260, 344] in the size of the samples' pictures."""
        size = (self.height, self.width)
        return np.asarray(resize_frames(torch.from_numpy(pictures), size))

    def _project(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Joints of all samples: pixels [n, 13, 2] and visible [n, 13]."""
        pixels, visible = [], []
        for recording in self.recordings:
            xyz = recording.labels(range(recording.n_frames))
            seen = [project_labels(xyz, channel) for channel in self.channels]
            pixels.append(np.stack([one.pixels for one in seen], axis=1))
            visible.append(np.stack([one.visible for one in seen], axis=1))
        return (
            np.concatenate(pixels).reshape(len(self), len(JOINTS), 2),
            np.concatenate(visible).reshape(len(self), len(JOINTS)),
        )

    def _read_all(self) -> NDArray[np.uint8]:
        """All pictures [frames, channels, H, W]."""
        shape = (self._n_frames, len(self.channels), self.height, self.width)
        pictures = np.empty(shape, np.uint8)
        first = 0
        for recording in self.recordings:
            whole = recording.frames(range(recording.n_frames), self.channels)
            for start in range(0, len(whole), _RESIZED_AT_ONCE):
                some = self._resized(whole[start : start + _RESIZED_AT_ONCE])
                pictures[first : first + len(some)] = some
                first += len(some)
        return pictures


def _corner(
    frame_shape: tuple[int, ...],
    pixels: Places,
    visible: NDArray[np.bool_],
    size: tuple[int, int],
    random: np.random.Generator,
) -> tuple[int, int]:
    """First row and column of a window (height, width) on the person whose joints are ``pixels``
    [..., 2], in a frame (height, width).

    It is centred on the joints' bounding box and moved by up to a quarter of its size, or further
    where the person is larger than the window, so that every part is seen.
    """
    largest = np.array(frame_shape) - np.array(size)
    if visible.any():
        seen = pixels[visible][:, ::-1]  # (row, column)
        centre = (seen.min(axis=0) + seen.max(axis=0)) / 2
        excess = (np.ptp(seen, axis=0) - size) / 2
        reach = np.maximum(np.array(size) / 4, excess + np.array(size) / 8)
        corner = np.rint(centre - np.array(size) / 2 + random.uniform(-reach, reach))
        top, left = np.clip(corner, 0, largest).astype(np.int64)
    else:
        top, left = random.integers(0, largest + 1)
    return int(top), int(left)
