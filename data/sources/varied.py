"""Varied copies of sequences, so that calibration sees more than the frames that it was given.

A network that is in use sees people, places and light that calibration frames do not show. Ranges
and rounding that were fitted to varied frames carry over to them better
(docs/calibration.md, "Frames unlike the calibration frames").
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.sources.frames import CHUNK_FRAMES, ChangedFrames, FrameArray, Frames

_SPARSE = 0.5  # share of zeros above which frames are sparse, as those of event cameras are
_THINNED = 0.4  # share of the pixels that a thinned frame keeps
_DIM, _BRIGHT = 0.6, 1.4
_SPECKS = 0.004  # share of pixels that noise adds to sparse frames


@dataclass(frozen=True)
class VariedFrames(ChangedFrames):
    """``whole``, changed in the same way in all its frames, by ``kind``.

    0: mirrored and brighter. 1: thinned where frames are sparse (pixels are removed at random, as
    in a window of fewer events), else dimmer. 2: mixed with its own mirror image, as if there were
    twice as much to see. 3: shifted, with isolated pixels added where frames are sparse.
    """

    kind: int
    first: int = 0
    """Number of the first frame in the sequence that was varied; it seeds the noise."""
    centre: tuple[float, ...] = ()
    """Per channel, the value of float32 frames that stands for nothing to see; none where it is
    0."""

    @property
    def name(self) -> str:
        """Name of the sequence, and of the change."""
        return f"{self.whole.name} varied {self.kind}"

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[FrameArray]:
        """The varied frames, ``n_frames`` at a time."""
        number = self.first
        for chunk in self.whole.chunks(n_frames):
            changed = np.empty_like(chunk)
            for index, frame in enumerate(chunk):
                changed[index] = self._varied(frame, number + index)
            yield changed
            number += len(chunk)

    def part(self, start: int, stop: int) -> "VariedFrames":
        """Frames ``start`` to ``stop`` (excluded)."""
        return replace(self, whole=self.whole.part(start, stop), first=self.first + start)

    def _varied(self, frame: FrameArray, number: int) -> FrameArray:
        if self.centre:
            centre = np.array(self.centre, np.float32)[:, None, None]
            return self._around_0(frame - centre, number) + centre
        return self._around_0(frame, number)

    def _around_0(self, frame: FrameArray, number: int) -> FrameArray:
        rng = np.random.default_rng((number, self.kind))
        sparse = bool((frame == 0).mean() > _SPARSE)
        values = frame.astype(np.float32)
        if self.kind == 0:
            values = values[..., ::-1] * _BRIGHT
        elif self.kind == 1:
            kept = rng.random(values.shape) < _THINNED
            values = np.where(kept, values, 0) if sparse else values * _DIM
        elif self.kind == 2:
            mirror = values[..., ::-1]
            both = values + mirror
            values = both if sparse else (both / 2).astype(np.float32, copy=False)
        else:
            values = _shifted(values, rng)
            if sparse:
                specks = rng.random(values.shape) < _SPECKS
                values = np.where(specks, np.maximum(values, values.max() / 2), values)
        return _as_before(values, frame)


def varied(sequences: Sequence[Frames], centre: tuple[float, ...] = ()) -> tuple[VariedFrames, ...]:
    """One varied copy of each sequence, around ``centre``; the kinds take turns."""
    return tuple(
        VariedFrames(sequence, index % 4, centre=centre) for index, sequence in enumerate(sequences)
    )


def _shifted(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Moved by up to an eighth of the frame, zeros entering."""
    moved = np.zeros_like(values)
    down, right = (int(rng.integers(-size // 8, size // 8 + 1)) for size in values.shape[1:])
    height, width = values.shape[1:]
    rows = slice(max(down, 0), height + min(down, 0)), slice(max(-down, 0), height - max(down, 0))
    columns = (
        slice(max(right, 0), width + min(right, 0)),
        slice(max(-right, 0), width - max(right, 0)),
    )
    moved[:, rows[0], columns[0]] = values[:, rows[1], columns[1]]
    return moved


def _as_before(values: NDArray[np.float32], frame: FrameArray) -> FrameArray:
    """In the type of ``frame``, within its limits."""
    if frame.dtype == np.uint8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return values.astype(np.float32)
