"""Batches to train an SDNN on: runs of consecutive frames, with their joints if those are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.heatmaps import draw_heatmaps
from ann2sdnn.data.pose.scale import WHOLE, PictureScale
from ann2sdnn.data.recordings.samples import CACHE_BYTES, Augmentation, Places
from ann2sdnn.data.sources.frames import (
    FrameArray,
    Frames,
    PoseFrames,
    common_shape,
    picture_scale,
)
from ann2sdnn.support.errors import UsageError


@dataclass(frozen=True, eq=False)
class Batch:
    """N runs of T frames."""

    frames: Tensor
    """uint8 in slayer's layout [N, C, H, W, T]."""
    pixels: Tensor
    """Joints (column, row) [N, T, 13, 2] in these frames, which may lie outside the window;
    [N, T, 0, 2] for frames without poses."""
    visible: Tensor
    """Which joints count [N, T, 13]."""
    scale: PictureScale = WHOLE
    """From these frames to those that they were resized from."""

    def chunks(self, n_frames: int) -> Iterator["Batch"]:
        """Consecutive parts of ``n_frames`` frames."""
        for start in range(0, self.frames.shape[-1], n_frames):
            part = slice(start, start + n_frames)
            yield replace(
                self,
                frames=self.frames[..., part],
                pixels=self.pixels[:, part],
                visible=self.visible[:, part],
            )

    def targets(self) -> Tensor:
        """Heat maps [N, T, 13, H, W]."""
        height, width = self.frames.shape[2:4]
        maps = draw_heatmaps(
            self.pixels.flatten(0, 1),
            self.visible.flatten(0, 1),
            int(height),
            int(width),
            self.scale,
        )
        return maps.reshape(*self.visible.shape[:2], *maps.shape[1:])

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return replace(
            self,
            frames=self.frames.to(device),
            pixels=self.pixels.to(device),
            visible=self.visible.to(device),
        )


class TrainingRuns:
    """One run of ``n_frames`` frames per epoch and sequence that has so many.

    Which frames and which window it shows follows from (seed, epoch, sequence) alone, so that
    a resumed training sees the same runs again. Frames without poses are not mirrored. Raises
    UsageError where every sequence is too short, and for a crop larger than the frames.
    """

    def __init__(
        self,
        sequences: Sequence[Frames],
        n_frames: int,
        augmentation: Augmentation,
        *,
        seed: int,
    ) -> None:
        longest = max((frames.n_frames for frames in sequences), default=0)
        if longest < n_frames:
            raise UsageError(
                f"a run of {n_frames} frames is longer than every sequence (the longest has"
                f" {longest} frames); choose fewer frames per chunk or fewer chunks"
            )
        if not all(isinstance(frames, PoseFrames) for frames in sequences):
            augmentation = replace(augmentation, mirror=False)
        self.n_frames, self.augmentation, self.seed = n_frames, augmentation, seed
        self._sources = [frames for frames in sequences if frames.n_frames >= n_frames]
        channels, height, width = common_shape(self._sources)
        augmentation.check_size(height, width)
        total = sum(frames.n_frames for frames in self._sources)
        self._fits = total * channels * height * width <= CACHE_BYTES
        self._keeps = False
        self._kept: dict[int, FrameArray] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def n_batches(self, size: int) -> int:
        """Batches of ``size`` runs per epoch; the last may be smaller."""
        return -(-len(self) // size)

    def batches(self, epoch: int, size: int, workers: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` in its own order, read by ``workers`` processes."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
        places = [list(map(int, order[at : at + size])) for at in range(0, len(order), size)]
        self._keeps = self._fits and workers == 0  # frames kept by other processes end with them
        loader: torch.utils.data.DataLoader[Batch] = torch.utils.data.DataLoader(
            _Epoch(self, epoch), batch_sampler=places, num_workers=workers, collate_fn=_side_by_side
        )
        yield from loader

    def run(self, place: int, epoch: int) -> Batch:
        """The run of source number ``place`` in ``epoch``, as a batch of one run."""
        sequence = self._sources[place]
        random = np.random.default_rng((self.seed, epoch, place))
        start = int(random.integers(sequence.n_frames - self.n_frames + 1))
        run = sequence.part(start, start + self.n_frames)
        scale = picture_scale(run)
        joints: Places = np.zeros((self.n_frames, 0, 2), np.int64)
        visible = np.zeros((self.n_frames, 0), np.bool_)
        if isinstance(run, PoseFrames):
            labels = run.labels()
            joints, visible = scale.to_resized(labels.pixels), labels.visible
        frames, pixels, visible = self.augmentation(
            self._frames(place, run, start), joints, visible, random
        )  # frames [T, C, H, W]
        by_time = torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, 0, -1)))
        places, counts = torch.from_numpy(pixels)[None], torch.from_numpy(visible)[None]
        return Batch(by_time[None], places, counts, scale)

    def _frames(self, place: int, run: Frames, start: int) -> NDArray[Any]:
        """The frames of ``run``; its sequence is kept whole where all of them fit into memory."""
        if not self._keeps:
            return _whole(run)
        if place not in self._kept:
            self._kept[place] = _whole(self._sources[place])
        return self._kept[place][start : start + self.n_frames]


class _Epoch(torch.utils.data.Dataset[Batch]):
    """The runs of an epoch by their source's number."""

    def __init__(self, runs: TrainingRuns, epoch: int) -> None:
        self.runs, self.epoch = runs, epoch

    def __getitem__(self, place: int) -> Batch:
        return self.runs.run(place, self.epoch)


def _whole(frames: Frames) -> FrameArray:
    whole: FrameArray = np.concatenate(list(frames.chunks()))
    return whole


def _side_by_side(runs: list[Batch]) -> Batch:
    return Batch(
        torch.cat([run.frames for run in runs]),
        torch.cat([run.pixels for run in runs]),
        torch.cat([run.visible for run in runs]),
        runs[0].scale,
    )
