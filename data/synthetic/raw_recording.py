"""A scene as a raw recording: an event file with its start and stop, and the labels between them.

``prepare`` makes the frames of it, as it does of DHP19's own files.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ann2sdnn.data.events.aedat import SPECIAL_BIT, AedatWriter, RawEvents, open_aedat
from ann2sdnn.data.events.options import WINDOW_EVENTS, Windows
from ann2sdnn.data.events.windows import LABEL_PERIOD_US, label_row
from ann2sdnn.data.raw.recording import RawRecording
from ann2sdnn.data.raw.vicon import write_vicon
from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.synthetic.labels import Labels, labelled_points
from ann2sdnn.data.synthetic.scene import Scene
from ann2sdnn.data.synthetic.stream import raw_events
from ann2sdnn.data.synthetic.survivors import Survivors, part_of
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.writing import atomic_file

_START_US = 20_000  # the cameras run for so long before the recording starts
_LONGEST_FRAME_S = 3.0  # of 30,000 events; a moving body needs a tenth of it
_COMMENT = "synthetic recording"


@dataclass(frozen=True)
class _Clock:
    """Times in the file: the scene begins at ``zero_us``, somewhere in the 32 bits of a stamp."""

    zero_us: int

    @property
    def start_us(self) -> int:
        return self.zero_us + _START_US

    def of(self, chunk: RawEvents) -> RawEvents:
        """The chunk with the file's times."""
        return RawEvents(chunk.address, chunk.t_us + self.zero_us, chunk.special_us, chunk.n_bytes)


def write_raw_recording(
    root: Path,
    name: RecordingName,
    scene: Scene,
    frames: int,
    windows: Windows,
    *,
    labels: Labels = "published",
    advance: Callable[[int], None] = lambda _frames: None,
) -> tuple[RawRecording, int]:
    """Write a scene where DHP19 has it under ``root``; the recording, and how long it is in us.

    It stops behind the last event of the last of ``frames`` frames. ``advance`` is called with the
    number of frames that each few milliseconds complete. Raises DataError when the body moves so
    little that they take too long.
    """
    paths = RawRecording.at(root, name)
    clock = _Clock(int(np.random.default_rng((*scene.noise_seed, 2)).integers(0, 1 << 32)))
    needed = windows.window_events + (frames - 1) * windows.hop
    counted = 0

    def count(events: int) -> None:
        nonlocal counted
        now = max(counted, (events - windows.window_events) // windows.hop + 1)
        advance(now - counted)
        counted = now

    stop_us = _write_events(paths, scene, clock, needed, count)
    times_us = np.arange(label_row(stop_us, clock.start_us) + 2) * LABEL_PERIOD_US + _START_US
    markers_mm = scene.performance.markers(times_us.astype(np.float64) * 1e-6)
    write_vicon(paths.labels_path, labelled_points(markers_mm, labels))
    return RawRecording.at(root, name), stop_us - clock.start_us


def _write_events(
    paths: RawRecording, scene: Scene, clock: _Clock, needed: int, count: Callable[[int], None]
) -> int:
    """Write the event file; returns the time of its stop."""
    longest_s = 1.0 + _LONGEST_FRAME_S * needed / WINDOW_EVENTS
    survivors = Survivors(clock.start_us, needed)
    with atomic_file(paths.events_path) as temporary, temporary.open("wb") as stream:
        writer = AedatWriter(stream, [_COMMENT])

        def past() -> Iterator[RawEvents]:
            stream.flush()
            return open_aedat(temporary).chunks()

        # The start is two special events and the stop one, the commonest case in DHP19.
        markers = [clock.start_us, clock.start_us + 1]
        for chunk in map(clock.of, raw_events(scene)):
            begin = int(np.searchsorted(chunk.t_us, clock.start_us, side="right"))
            n = survivors.add(part_of(chunk, begin, len(chunk.t_us)), past)
            count(survivors.count)
            if n is not None:
                last_us = int(chunk.t_us[begin + n - 1])
                _write(writer, _ending_with(chunk, begin + n), [*markers, last_us + 1])
                return last_us + 1
            _write(writer, chunk, markers)
            markers = []
            if int(chunk.t_us[-1]) - clock.start_us > longest_s * 1e6:
                break
    raise DataError(
        f"{paths.name.stem} moves too little: {survivors.count} of {needed} "
        f"events in {longest_s:.0f} s; choose another --seed"
    )


def _ending_with(chunk: RawEvents, n: int) -> RawEvents:
    """The first ``n`` events, and those at later times, after the recording's stop."""
    keep = np.arange(len(chunk.t_us)) < n
    keep |= chunk.t_us > chunk.t_us[n - 1]
    return RawEvents(chunk.address[keep], chunk.t_us[keep], chunk.special_us, chunk.n_bytes)


def _write(writer: AedatWriter, chunk: RawEvents, markers_us: list[int]) -> None:
    """Write a chunk with the special events that fall into it."""
    at = np.searchsorted(chunk.t_us, markers_us)
    address = np.insert(chunk.address, at, np.uint32(SPECIAL_BIT))
    writer.write(address, np.insert(chunk.t_us, at, markers_us))
