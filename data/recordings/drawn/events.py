"""The events of recordings whose windows overlap, held in memory: four bytes each."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import active_indices
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.processes.pool import run_jobs

# Worker processes take seconds to start; this many recordings are read by one in that time.
_PER_WORKER = 32


@dataclass(frozen=True)
class HopEvents:
    """Events by recording, camera and hop.

    ``pixel`` [n]: row * width + column of every event. ``first``: for each recording an array
    [cameras, hops + 1]; hop h of camera c has the events first[c, h] to first[c, h + 1].
    """

    pixel: NDArray[np.uint32]
    first: tuple[NDArray[np.int64], ...]


def read_hop_events(recordings: Sequence[Recording], channels: Sequence[int]) -> HopEvents:
    """Read the events of ``recordings``, as seen by the cameras ``channels``.

    Raises UsageError where the windows of a recording do not overlap: it holds finished frames.
    """
    for recording in recordings:
        if recording.hops_per_window == 1:
            raise UsageError(
                f"--vary draws pictures from events, and {recording.frames_path} holds finished"
                " frames; make recordings with synth or prepare and --hop-events"
            )
    jobs = [_Job(number, each, tuple(channels)) for number, each in enumerate(recordings)]
    workers = max(1, min(os.cpu_count() or 1, len(jobs) // _PER_WORKER))
    found = dict(run_jobs(_read, jobs, workers, lambda _n: None))
    pixels, firsts, n_events = [], [], 0
    for number in range(len(jobs)):
        pixel, counts = found[number]
        ends = np.cumsum(counts).reshape(counts.shape)
        starts = np.concatenate([ends[:, :1] - counts[:, :1], ends], axis=1)
        firsts.append(starts + n_events)
        pixels.append(pixel)
        n_events += len(pixel)
    return HopEvents(np.concatenate(pixels), tuple(firsts))


@dataclass(frozen=True)
class _Job:
    number: int
    recording: Recording
    channels: tuple[int, ...]


def _read(
    job: _Job, _advance: Callable[[int], None]
) -> tuple[int, tuple[NDArray[np.uint32], NDArray[np.int64]]]:
    """The pixels of a recording's events, and their number [cameras, hops]."""
    recording = job.recording
    hops = recording.hops()
    pixels, counts = [], np.empty((len(job.channels), len(hops)), np.int64)
    for place, channel in enumerate(job.channels):
        for number, image in enumerate(hops[:, channel]):
            flat = image.reshape(-1)
            at = active_indices(flat)
            row, column = np.divmod(at, image.shape[1])
            pixel = np.repeat((row * recording.width + column).astype(np.uint32), flat[at])
            pixels.append(pixel[np.repeat(column < recording.width, flat[at])])
            counts[place, number] = len(pixels[-1])
    return job.number, (np.concatenate(pixels), counts)
