"""How fast a raw recording becomes frames: `python benchmarks/prepare.py FOLDER`, on one core.

The first run writes a recording of some 20 million events into FOLDER: a synthetic walk of 12
frames, over and over. Every run then prepares it, with disjoint and with overlapping windows, and
says how many events a second went through the whole chain, three readings and the writing of the
frames included. Other work on the machine shows as a difference between its clock and the
processor's.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.aedat import SPECIAL_BIT, open_aedat, write_aedat
from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.raw.folder import find_recordings
from ann2sdnn.data.raw.recording import RawRecording, prepare_recording
from ann2sdnn.data.raw.vicon import write_vicon
from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE
from ann2sdnn.data.synthetic.raw_recording import write_raw_recording
from ann2sdnn.data.synthetic.scene import make_scene

NAME = RecordingName(1, 2, 1)
MILLIONS = 20
RECORD_BYTES = 8


def write_long_recording(folder: Path, millions: int) -> None:
    """A short synthetic recording, repeated until it has ``millions`` of events."""
    with TemporaryDirectory(dir=folder) as short:
        raw, _ = write_raw_recording(
            Path(short), NAME, make_scene(0, 1, CATALOGUE[0]), 12, Windows()
        )
        chunks = list(open_aedat(raw.events_path).chunks())
    address = np.concatenate([chunk.address for chunk in chunks])
    t_us = np.concatenate([chunk.t_us for chunk in chunks])
    t_us -= t_us[0]
    period_us = int(t_us[-1]) + 1
    times = -(-millions * 1_000_000 // len(address))
    marker = np.array([SPECIAL_BIT], np.uint32)

    def records() -> Iterator[tuple[NDArray[np.uint32], NDArray[np.int64]]]:
        for at in (0, 1):
            yield marker, np.array([at])
        for turn in range(times):
            yield address, 2 + turn * period_us + t_us
        yield marker, np.array([2 + times * period_us])

    target = RawRecording.at(folder, NAME)
    write_aedat(target.events_path, records())
    labels = np.random.default_rng(0).normal(size=(times * period_us // 10_000 + 2, 13, 3))
    write_vicon(target.labels_path, labels)


def measure(raw: RawRecording, windows: Windows) -> str:
    """Prepare the recording once, after a first time that compiles the kernels."""
    with TemporaryDirectory() as out:
        for _ in range(2):
            clock_s, processor_s = time.perf_counter(), time.process_time()
            frames = prepare_recording(raw, Path(out), windows, lambda _bytes: None)
            clock_s, processor_s = (
                time.perf_counter() - clock_s,
                time.process_time() - processor_s,
            )
        size = sum(path.stat().st_size for path in Path(out).iterdir())
    millions = raw.n_bytes / RECORD_BYTES / 1e6
    return (
        f"hop {windows.hop}: {millions:.1f} million events, {frames} frames, "
        f"{millions / clock_s:.1f} million events/s ({millions / processor_s:.1f} by the "
        f"processor's clock), {size / frames / 1000:.1f} kB a frame"
    )


def main() -> None:
    """Write the recording if it is not there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--millions", type=int, default=MILLIONS, help="events of the recording")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not RawRecording.at(arguments.folder, NAME).events_path.exists():
        write_long_recording(arguments.folder, arguments.millions)
    (raw,) = find_recordings(arguments.folder)
    for windows in (Windows(), Windows(hop_events=3750, normalise="fixed")):
        print(measure(raw, windows))  # noqa: T201  (a script, not a library)


if __name__ == "__main__":
    main()
