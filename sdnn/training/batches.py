"""What an SDNN learns from: runs of consecutive frames of one camera, with the joints in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.heatmaps import draw_heatmaps
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.data.recordings.samples import CACHE_BYTES, MIRRORED_JOINTS, window_corner
from ann2sdnn.support.errors import UsageError


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
        n_frames = sum(one.n_frames for one, _ in self._sources)
        self._fits = n_frames * height * width <= CACHE_BYTES
        self._keeps = False
        self._kept: dict[int, NDArray[np.uint8]] = {}
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

    def batches(self, epoch: int, size: int, workers: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, in an order of its own; ``workers`` processes read them."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
        places = [list(map(int, order[at : at + size])) for at in range(0, len(order), size)]
        self._keeps = self._fits and workers == 0  # what other processes keep ends with them
        loader: torch.utils.data.DataLoader[Batch] = torch.utils.data.DataLoader(
            _Epoch(self, epoch), batch_sampler=places, num_workers=workers, collate_fn=_side_by_side
        )
        yield from loader

    def run(self, place: int, epoch: int) -> Batch:
        """What the source ``place`` gives in ``epoch``, as a batch of one run."""
        recording, channel = self._sources[place]
        random = np.random.default_rng((self.seed, epoch, place))
        start = int(random.integers(recording.n_frames - self.choice.length + 1))
        indices = range(start, start + self.choice.length)
        frames = self._frames(place, start)  # [T, 1, H, W]
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
        return Batch(by_time[None], torch.from_numpy(pixels)[None], torch.from_numpy(visible)[None])

    def _frames(self, place: int, start: int) -> NDArray[np.uint8]:
        """A run of frames of a source; all of it is kept where all sources fit into memory."""
        recording, channel = self._sources[place]
        if not self._keeps:
            return recording.frames(range(start, start + self.choice.length), (channel,))
        if place not in self._kept:
            self._kept[place] = recording.frames(range(recording.n_frames), (channel,))
        return self._kept[place][start : start + self.choice.length]


class _Epoch(torch.utils.data.Dataset[Batch]):
    """The runs of one epoch, by their place."""

    def __init__(self, runs: TrainingRuns, epoch: int) -> None:
        self.runs, self.epoch = runs, epoch

    def __getitem__(self, place: int) -> Batch:
        return self.runs.run(place, self.epoch)


def _side_by_side(runs: list[Batch]) -> Batch:
    return Batch(
        torch.cat([one.frames for one in runs]),
        torch.cat([one.pixels for one in runs]),
        torch.cat([one.visible for one in runs]),
    )
