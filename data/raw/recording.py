"""Turns one raw DHP19 recording into its pair of HDF5 files, reading it three times in chunks.

The first reading finds start and stop, the second the hot pixels, the third filters the events
and counts them into frames; memory does not grow with the recording.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.data.events.aedat import AedatFile, open_aedat
from ann2sdnn.data.events.filters import EventFilters, HotPixels, PixelMask, to_plane
from ann2sdnn.data.events.interval import MOST_SPECIAL_EVENTS, Interval, recording_interval
from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.events.windows import Events, labelled_frames
from ann2sdnn.data.raw.vicon import read_vicon
from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.recordings.writer import write_recording
from ann2sdnn.support.errors import DataError

_ENOUGH_SPECIAL = MOST_SPECIAL_EVENTS + 1


@dataclass(frozen=True)
class RawRecording:
    """An event file of ``n_bytes`` bytes, and the path of its labels."""

    name: RecordingName
    events_path: Path
    labels_path: Path
    n_bytes: int

    @classmethod
    def at(cls, root: Path, name: RecordingName) -> "RawRecording":
        """The recording ``name`` where DHP19 has it under ``root``, or should have it."""
        s, n, m = name.subject, name.session, name.movement
        events = root / f"DVS_movies/S{s}/session{n}/mov{m}.aedat"
        labels = root / f"Vicon_data/S{s}_{n}_{m}.mat"
        return cls(name, events, labels, events.stat().st_size if events.exists() else 0)


def prepare_recording(
    raw: RawRecording,
    out: Path,
    windows: Windows,
    advance: Callable[[int], None],
    *,
    source: str = "",
) -> int:
    """Write the frames and labels of one recording into ``out``; returns the number of frames.

    ``advance`` is called with the bytes of every chunk read. ``source`` is stored with the labels
    and says what they were made from. Existing files of the recording are replaced. Raises
    DataError when the recording is damaged, lacks its labels or is too short for a frame,
    OutputError when its files cannot be written.
    """
    aedat = open_aedat(raw.events_path)
    labels_mm = read_vicon(raw.labels_path)
    interval = find_interval(aedat, len(labels_mm))
    chunks = _filtered(aedat, interval, find_hot_pixels(aedat, interval), advance)
    frames = labelled_frames(chunks, labels_mm, interval.start_us, windows)
    return write_recording(out, raw.name.stem, frames, windows, source=source, force=True)


def find_interval(aedat: AedatFile, n_labels: int) -> Interval:
    """Start and stop of a recording with ``n_labels`` label rows.

    Raises DataError when the file holds no polarity event or too many special events.
    """
    first_us: int | None = None
    last_us = 0
    special_us: list[int] = []
    for chunk in aedat.chunks():
        # One more than the rule allows is enough to know, however many a damaged file holds.
        special_us = (special_us + chunk.special_us[:_ENOUGH_SPECIAL].tolist())[:_ENOUGH_SPECIAL]
        if len(chunk.t_us):
            first_us = int(chunk.t_us[0]) if first_us is None else first_us
            last_us = int(chunk.t_us[-1])
    if first_us is None:
        raise DataError(f"{aedat.path} holds no polarity event; the recording is empty")
    return recording_interval(special_us, first_us, last_us, n_labels)


def find_hot_pixels(aedat: AedatFile, interval: Interval) -> PixelMask:
    """Mask of the pixels of the plane that are hot in the recording."""
    hot = HotPixels()
    for chunk in aedat.chunks():
        hot.add(to_plane(chunk, interval))
    return hot.mask()


def _filtered(
    aedat: AedatFile, interval: Interval, hot: PixelMask, advance: Callable[[int], None]
) -> Iterator[Events]:
    filters = EventFilters(interval, hot)
    for chunk in aedat.chunks():
        yield filters.apply(chunk)
        advance(chunk.n_bytes)
