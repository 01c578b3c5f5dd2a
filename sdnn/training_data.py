"""What an SDNN learns from: runs of consecutive frames of one camera, with the joints in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.data.heatmaps import draw_heatmaps
from ann2sdnn.data.labels import project_labels
from ann2sdnn.data.recording import Recording
from ann2sdnn.data.samples import MIRRORED_JOINTS, window_corner
from ann2sdnn.errors import UsageError


@dataclass(frozen=True)
class RunChoice:
    """``length``: consecutive frames of a run. ``crop``: (height, width) of the window that all of
    them show, None for whole frames. ``mirror``: flip half of the runs left to right.
    """

    length: int
    crop: tuple[int, int] | None
    mirror: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """N runs of T frames: ``frames`` [N, C, H, W, T] uint8, as slayer lays them out, ``pixels``
    [N, T, 13, 2] (column, row), which may lie outside the window, and ``visible`` [N, T, 13].
    """

    frames: Tensor
    pixels: Tensor
    visible: Tensor

    def chunks(self, n_frames: int) -> Iterator["Batch"]:
        """Consecutive parts of ``n_frames`` frames."""
        for start in range(0, self.frames.shape[-1], n_frames):
            part = slice(start, start + n_frames)
            yield Batch(self.frames[..., part], self.pixels[:, part], self.visible[:, part])

    def targets(self) -> Tensor:
        """Heat maps [N, T, 13, H, W]."""
        height, width = self.frames.shape[2:4]
        maps = draw_heatmaps(
            self.pixels.flatten(0, 1), self.visible.flatten(0, 1), int(height), int(width)
        )
        return maps.reshape(*self.visible.shape[:2], *maps.shape[1:])

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(self.frames.to(device), self.pixels.to(device), self.visible.to(device))


class TrainingRuns:
    """Every recording and channel that is long enough gives one run an epoch.

    Which frames and what window follows from (seed, epoch, place) alone, so that a run of training
    that was interrupted sees the same again. Raises UsageError where nothing is long enough.
    """

    def __init__(
        self, recordings: Sequence[Recording], channels: Sequence[int], choice: RunChoice, seed: int
    ) -> None:
        longest = max((one.n_frames for one in recordings), default=0)
        if longest < choice.length:
            raise UsageError(
                f"a run of {choice.length} frames is longer than every recording (the longest has"
                f" {longest} frames); choose fewer frames a chunk or fewer chunks"
            )
        self.choice, self.seed = choice, seed
        self._sources = [
            (one, channel)
            for one in recordings
            if one.n_frames >= choice.length
            for channel in channels
        ]
        height, width = recordings[0].height, recordings[0].width
        crop = choice.crop
        if crop and (crop[0] > height or crop[1] > width):
            raise UsageError(
                f"a crop of {crop[0]}x{crop[1]} pixels is larger than the frames, {height}x{width}"
            )

    def __len__(self) -> int:
        return len(self._sources)

    def n_batches(self, size: int) -> int:
        """Batches of ``size`` in an epoch; the last may be smaller."""
        return -(-len(self) // size)

    def batches(self, epoch: int, size: int) -> Iterator[Batch]:
        """The batches of one epoch, in an order of its own."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
        for start in range(0, len(order), size):
            runs = [self._run(int(place), epoch) for place in order[start : start + size]]
            yield Batch(*(torch.cat(parts) for parts in zip(*runs, strict=True)))

    def _run(self, place: int, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """One run as the parts of a batch of 1."""
        recording, channel = self._sources[place]
        random = np.random.default_rng((self.seed, epoch, place))
        start = int(random.integers(recording.n_frames - self.choice.length + 1))
        indices = range(start, start + self.choice.length)
        frames = recording.frames(indices, (channel,))  # [T, 1, H, W]
        labels = project_labels(recording.labels(indices), channel)
        pixels, visible = labels.pixels, labels.visible
        crop = self.choice.crop
        if crop is not None:
            top, left = window_corner(frames.shape[2:], pixels, visible, crop, random)
            frames = frames[..., top : top + crop[0], left : left + crop[1]]
            pixels = pixels - np.array([left, top])
        if self.choice.mirror and random.random() < 0.5:
            # The right elbow then looks like a left one, and is labelled as one.
            frames = frames[..., ::-1]
            pixels = pixels[:, list(MIRRORED_JOINTS)]
            pixels[..., 0] = frames.shape[-1] - 1 - pixels[..., 0]
            visible = visible[:, list(MIRRORED_JOINTS)]
        by_time = torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, 0, -1)))
        return by_time[None], torch.from_numpy(pixels)[None], torch.from_numpy(visible)[None]
