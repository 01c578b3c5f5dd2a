"""Scales event counts to grey values: three standard deviations of an image's counts fill 0..255.

Source: ``normalizeImage3Sigma.m`` of DHP19's repository. Images are mostly empty, so the kernels
read every pixel once and compute only where there are events.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer[Any]]

SMALLEST_DEVIATION = 0.1 / 255


def deviations(counts: Counts) -> NDArray[np.float64]:
    """Sample standard deviation (n - 1) [C] of the non-zero counts of each image [H, W, C].

    At least 0.1/255. As in Matlab, the variance of a single number is 0.
    """
    scale = np.empty(counts.shape[-1])
    flat = counts.reshape(-1)
    _deviations(flat, active_indices(flat), scale)
    return scale


def normalise(counts: Counts, scale: NDArray[np.float64] | None = None) -> NDArray[np.uint8]:
    """Scale the counts [H, W, C] of each image to 0..255 by three standard deviations.

    value = floor(min(255, count * 255 / (3 s))), s from ``scale`` [C] or else the image's own
    (see ``deviations``). A pixel without events stays 0.
    """
    frame = np.zeros(counts.shape, np.uint8)
    scale = deviations(counts) if scale is None else scale
    flat = counts.reshape(-1)
    _normalise(flat, active_indices(flat), scale, frame.reshape(-1))
    return frame


def overlapping_frames(hops: Counts, scale: NDArray[np.float64], n: int) -> NDArray[np.uint8]:
    """The frames [F, H, W] of one camera whose windows are ``n`` hops long.

    ``hops`` [F + n - 1, H, W] holds the counts of each hop, ``scale`` [F] the deviation that each
    frame is scaled by. Frame i is the sum of hops i to i + n - 1, scaled as ``normalise`` does.
    """
    frames = np.zeros((len(scale), *hops.shape[1:]), np.uint8)
    flat = hops.reshape(len(hops), -1)
    window = flat[: n - 1].sum(axis=0, dtype=np.int64)
    _slide(flat, window, scale, n, frames.reshape(len(frames), -1))
    return frames


def active_indices(counts: Counts) -> NDArray[np.int32]:
    """Indices of the flat ``counts`` that are not 0, in order."""
    at = np.empty(len(counts), np.int32)
    # Eight bytes are looked at at a time; nearly all of them are 0.
    per_word = 8 // counts.itemsize
    whole = len(counts) // per_word * per_word
    words = np.ascontiguousarray(counts[:whole]).view(np.uint64)
    return at[: _find_active(counts, words, per_word, at)]


@numba.njit(cache=True)
def _find_active(counts, words, per_word, at):  # type: ignore[no-untyped-def]
    n = 0
    for word in range(len(words)):
        if words[word] != 0:
            for i in range(word * per_word, (word + 1) * per_word):
                at[n] = i
                n += counts[i] != 0
    for i in range(len(words) * per_word, len(counts)):
        at[n] = i
        n += counts[i] != 0
    return n


@numba.njit(cache=True)
def _deviations(counts, at, scale):  # type: ignore[no-untyped-def]
    n_images = len(scale)
    active, total = np.zeros(n_images, np.int64), np.zeros(n_images, np.int64)
    for i in at:
        active[i % n_images] += 1
        total[i % n_images] += counts[i]
    mean = total / np.maximum(active, 1)
    squares = np.zeros(n_images)
    for i in at:
        squares[i % n_images] += (counts[i] - mean[i % n_images]) ** 2
    for image in range(n_images):
        variance = squares[image] / (active[image] - 1) if active[image] > 1 else 0.0
        scale[image] = max(np.sqrt(variance), SMALLEST_DEVIATION)


@numba.njit(cache=True)
def _normalise(counts, at, scale, frame):  # type: ignore[no-untyped-def]
    for i in at:
        frame[i] = grey(counts[i], scale[i % len(scale)])


@numba.njit(cache=True)
def _slide(hops, window, scale, n, frames):  # type: ignore[no-untyped-def]
    for f in range(len(frames)):
        for i in range(len(window)):
            window[i] += hops[f + n - 1, i]
            if window[i] != 0:
                frames[f, i] = grey(window[i], scale[f])
            window[i] -= hops[f, i]


@numba.njit(cache=True, inline="always")
def grey(count, deviation):  # type: ignore[no-untyped-def]
    """The value of a pixel with ``count`` events, uint8."""
    return np.uint8(min(255.0, count * 255 / (3 * deviation)))
