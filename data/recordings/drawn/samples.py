"""Training samples that every epoch draws from the events of overlapping windows, with changes."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.data.recordings.drawn.events import read_hop_events
from ann2sdnn.data.recordings.drawn.kernel import Canvas
from ann2sdnn.data.recordings.drawn.variation import Variation, draw_variation
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.data.recordings.samples import (
    Augmentation,
    Follower,
    Places,
    PoseSamples,
    Sample,
)
from ann2sdnn.graph.geometry import Pair


class DrawnSamples(PoseSamples):
    """``PoseSamples`` whose windows, geometry, brightness and noise vary; see ``variation``.

    A ``Follower`` shows the window one hop later, changed alike and scaled alike. The ``share`` of
    the pictures varies, the others are as they were recorded. Raises UsageError for recordings
    whose windows do not overlap.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        channels: Sequence[int],
        augmentation: Augmentation | None = None,
        *,
        resize: Pair | None = None,
        seed: int = 0,
        share: float = 1.0,
    ) -> None:
        super().__init__(
            recordings, channels, augmentation, resize=resize, seed=seed, cache_bytes=0
        )
        self.share = share
        self._events = read_hop_events(self.recordings, self.channels)
        self._canvas = Canvas(self.whole_size)

    @property
    def cached(self) -> bool:
        """The events are held in memory."""
        return True

    def __getitem__(self, index: int | Follower) -> Sample:
        leader = index.of if isinstance(index, Follower) else index
        random = np.random.default_rng((self.seed, self.epoch, leader))
        if self.share < 1 and random.random() >= self.share:
            return super().__getitem__(index)
        shown = self._after(leader) if isinstance(index, Follower) else leader
        change = self._variation(leader, random)
        pixels, visible = self._label(shown, change)
        size = (self.height, self.width)
        seen, _ = self._label(leader, change)
        window = self.augmentation.window(size, seen, self.visible[leader], random)
        whole = self._drawn(leader, shown, change)[None, None]
        frame, pixels, visible = window(self._resized(whole)[0, 0], pixels, visible)
        return Sample(
            torch.from_numpy(np.ascontiguousarray(frame)[None]),
            torch.from_numpy(pixels),
            torch.from_numpy(visible),
        )

    def _variation(self, index: int, random: np.random.Generator) -> Variation:
        which, frame = self._place(index)
        per_window = self.recordings[which].hops_per_window
        shown = self.pixels[index][self.visible[index]]
        centre = shown.mean(axis=0) if len(shown) else np.array(self.whole_size[::-1]) / 2
        return draw_variation(random, per_window, frame + per_window, centre)

    def _label(self, index: int, change: Variation) -> tuple[Places, NDArray[np.bool_]]:
        """Joints in the changed picture: at the end of its window, or the mean over it."""
        _, frame = self._place(index)
        pixels, visible = self.pixels[index], self.visible[index]
        if not change.at_end and change.n_hops <= frame + 1:
            n = len(self.channels)
            rows = slice(index - (change.n_hops - 1) * n, index + 1, n)
            seen = self.visible[rows][..., None]
            total = np.where(seen, self.pixels[rows], 0).sum(axis=0)
            mean = np.rint(total / np.maximum(seen.sum(axis=0), 1)).astype(np.int64)
            pixels = np.where(visible[:, None], mean, pixels)
        return self.scale.to_resized(change.moved(pixels)), visible

    def _drawn(self, leader: int, shown: int, change: Variation) -> NDArray[np.uint8]:
        """The whole picture [260, 344] of ``shown``, scaled like that of ``leader``."""
        deviation = self._draw(leader, change)
        if shown != leader:
            self._canvas.finish(deviation)
            self._draw(shown, change)
        return self._canvas.finish(deviation / change.gain)

    def _draw(self, index: int, change: Variation) -> float:
        which, frame = self._place(index)
        end = frame + self.recordings[which].hops_per_window
        begin = max(end - change.n_hops, 0)
        first = self._events.first[which][index % len(self.channels), begin : end + 1]
        noise = round(change.noise / change.n_hops)
        return self._canvas.draw(
            self._events.pixel,
            first,
            begin,
            (change.matrix, change.kept, noise, change.soft, np.uint64(change.seed)),
        )

    def _place(self, index: int) -> tuple[int, int]:
        """Recording of a picture, and its frame there."""
        number = index // len(self.channels)
        which = self._recording_of(number)
        return which, number - int(self._ends[which]) + self.recordings[which].n_frames
