"""Small raw DHP19 recordings, and a slow plain reading of how they become frames.

The reference follows the data set's description sentence by sentence, in plain Python over single
events, and shares no code with the package.
"""

import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.aedat import (
    CAMERA_MASK,
    POLARITY_BIT,
    SPECIAL_BIT,
    X_MASK,
    X_SHIFT,
    Y_MASK,
    Y_SHIFT,
    RawEvents,
    polarity_addresses,
    write_aedat,
)
from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.raw.vicon import write_vicon

FloatArray = NDArray[np.float64]
Point = tuple[int, int, int]  # row, column, camera of a frame

SAMPLE_BIT = 0x80000000
NAN = math.nan


@dataclass
class Scene:
    """Records of a recording that begins at ``start_us``; rows are (t_us, address)."""

    start_us: int = 3_000_000
    rows: list[tuple[int, int]] = field(default_factory=list)

    def events(self, t_us: NDArray[np.int64], points: NDArray[np.int64]) -> None:
        """Polarity events at ``points`` [n, 3] (row, column, camera), times from the start."""
        row, column, camera = points.T
        addresses = polarity_addresses(345 - column, 259 - row, camera, t_us % 2 == 0)
        self.rows += zip((t_us + self.start_us).tolist(), addresses.tolist(), strict=True)

    def special(self, *times_us: int) -> None:
        """Special events at these times from the start."""
        self.rows += [(self.start_us + t_us, SPECIAL_BIT) for t_us in times_us]

    def records(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """All records in order of time."""
        ordered = sorted(self.rows, key=lambda record: record[0])
        return (
            np.array([address for _, address in ordered], np.uint32),
            np.array([t_us for t_us, _ in ordered], np.int64),
        )

    def write(self, path: Path) -> Path:
        """Write the scene as an event file."""
        write_aedat(path, [self.records()], ["created by a test"])
        return path


class Columns(NamedTuple):
    """Polarity events in the sensor's coordinates, each [n]."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    camera: NDArray[np.int64]
    on: NDArray[np.bool_]


def columns(events: RawEvents) -> Columns:
    """The addresses of ``events``, decoded."""
    address = events.address.astype(np.int64)
    return Columns(
        address >> X_SHIFT & X_MASK,
        address >> Y_SHIFT & Y_MASK,
        address & CAMERA_MASK,
        np.asarray(address & POLARITY_BIT, np.bool_),
    )


def moving_scene(
    seed: int, *, n: int = 3000, duration_us: int = 2_000_000, start_us: int = 3_000_000
) -> Scene:
    """Clusters that move through all cameras, noise, and everything a reader has to ignore."""
    rng = np.random.default_rng(seed)
    scene = Scene(start_us)
    t_us = np.sort(rng.integers(0, duration_us, n))
    cluster = rng.integers(0, 4, n)
    row = 130 + 100 * np.sin(t_us / duration_us * 3 + cluster) + rng.normal(0, 1.5, n)
    column = 80 * cluster + t_us / duration_us * 60 + rng.normal(0, 1.5, n)
    # Two clusters move along the upper edge and along the edges between the cameras.
    row = np.where(cluster == 2, rng.integers(0, 3, n), row)
    column = np.where(cluster == 3, rng.integers(0, 2, n) * 345, column)
    points = np.stack(
        [np.clip(row, 0, 259), np.clip(column, 0, 345), rng.integers(0, 4, n)], axis=-1
    ).astype(np.int64)
    scene.events(t_us, points)
    _add_noise(scene, rng, n // 5, duration_us)
    _add_lamps(scene, rng, n // 5, duration_us)
    _add_what_is_ignored(scene, rng, n // 10, duration_us)
    return scene


def hot_scene(seed: int) -> Scene:
    """A moving scene with one pixel of 10,000 events in the recording and one of 9,999.

    Both lie beside a steady one that supports them and have more events before the start.
    """
    rng = np.random.default_rng(seed)
    scene = moving_scene(seed)
    for column, n in ((100, 10_000), (200, 9_999)):
        t_us = np.sort(rng.integers(300_001, 1_900_000, n))
        scene.events(t_us, np.tile([50, column, 2], (n, 1)))
        scene.events(np.arange(100), np.tile([50, column, 2], (100, 1)))
        scene.events(np.arange(0, 2_000_000, 50_000), np.tile([51, column, 2], (40, 1)))
    scene.special(300_000, 300_000, 1_900_000)
    return scene


def labels(seed: int, n: int) -> FloatArray:
    """Label rows [n, 13, 3] with gaps, and a joint that is never seen."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 700, (n, len(JOINTS), 3))
    values[rng.random(values.shape) < 0.2] = NAN
    values[:, 4] = NAN
    return values


def write_raw(
    root: Path, scene: Scene, labels_mm: FloatArray, name: tuple[int, int, int] = (1, 1, 1)
) -> None:
    """Write a recording where DHP19 has it: subject, session and movement."""
    subject, session, movement = name
    scene.write(root / f"DVS_movies/S{subject}/session{session}/mov{movement}.aedat")
    write_vicon(root / f"Vicon_data/S{subject}_{session}_{movement}.mat", labels_mm)


def _add_noise(scene: Scene, rng: np.random.Generator, n: int, duration_us: int) -> None:
    points = np.stack([rng.integers(0, size, n) for size in (260, 346, 4)], axis=-1)
    scene.events(rng.integers(0, duration_us, n), points)


def _add_lamps(scene: Scene, rng: np.random.Generator, n: int, duration_us: int) -> None:
    for left, right, top, bottom, camera in ((86, 119, 112, 147, 2), (210, 224, 133, 147, 3)):
        points = np.stack(
            [
                rng.integers(top, bottom, n),
                rng.integers(left, right, n),
                np.full(n, camera),
            ],
            axis=-1,
        )
        scene.events(rng.integers(0, duration_us, n), points)


def _add_what_is_ignored(scene: Scene, rng: np.random.Generator, n: int, duration_us: int) -> None:
    t_us = rng.integers(0, duration_us, n) + scene.start_us
    outside = polarity_addresses(
        rng.integers(300, 1024, n), rng.integers(200, 512, n), rng.integers(0, 16, n), t_us % 2 == 0
    )
    samples = rng.integers(0, 1 << 31, n) | SAMPLE_BIT  # frame and IMU samples
    scene.rows += zip(t_us.tolist(), outside.tolist(), strict=True)
    scene.rows += zip(t_us.tolist(), samples.tolist(), strict=True)


# ---- the reference -------------------------------------------------------------------------


def reference(
    path: Path, labels_mm: FloatArray, window: int, hop: int | None = None, fixed: bool = False
) -> tuple[list[NDArray[np.uint8]], list[FloatArray]]:
    """Frames [260, 346, 4] and labels [3, 13] of an event file, one event after the other."""
    polarity, special = _read(path)
    start_us, stop_us = _start_stop(special, polarity[0][0], polarity[-1][0], len(labels_mm))
    inside = [
        (t, 259 - y, 345 - x + 346 * camera)
        for t, x, y, camera in polarity
        if start_us < t < stop_us and x < 346 and y < 260 and camera < 4
    ]
    counts = Counter((row, column) for _, row, column in inside)
    cool = [event for event in inside if counts[event[1:]] < 10**4]
    seen = [event for event in _supported(cool) if not _in_lamp(event[1] + 1, event[2] + 1)]
    return _frames(seen, labels_mm, start_us, window, hop or window, fixed)


def _read(path: Path) -> tuple[list[tuple[int, int, int, int]], list[int]]:
    # Not "as long as lines start with #": so may the first event.
    data = path.read_bytes().removeprefix(b"#!AER-DAT2.0\r\n# created by a test\r\n")
    polarity: list[tuple[int, int, int, int]] = []
    special: list[int] = []
    turns, before = 0, None
    for address, stamp in struct.iter_unpack(">II", data):
        if address >> 31:
            continue
        if before is not None and before - stamp > 2**31:
            turns += 1
        before, t = stamp, stamp + turns * 2**32
        if address >> 10 & 1:
            special.append(t)
        else:
            x = (address & 0x003FF000) >> 12
            y = (address & 0x7FC00000) >> 22
            polarity.append((t, x, y, address & 15))
    return polarity, special


def _start_stop(special: list[int], first: int, last: int, n_labels: int) -> tuple[int, int]:
    if not special:
        return first, last
    if len(special) in (3, 5):
        return special[0], special[-1]
    marker = special[0]
    if abs(last - marker) < abs(marker - first):
        return marker - n_labels * 10_000, marker
    return marker, marker + n_labels * 10_000


def _supported(events: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    last: dict[tuple[int, int], int] = {}
    kept = []
    for t, row, column in events:
        around = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        if any(t - last[place] <= 70_000 for place in around if place in last):
            kept.append((t, row, column))
        if row not in (0, 259) and column not in (0, 1383):
            last[row, column] = t
    return kept


def _in_lamp(row: int, column: int) -> bool:
    """Row and column of the plane, counted from 1."""
    return (780 < column < 810 and 115 < row < 145) or (1252 < column < 1259 and 136 < row < 144)


def _frames(
    events: list[tuple[int, int, int]],
    labels_mm: FloatArray,
    start_us: int,
    window: int,
    hop: int,
    fixed: bool,
) -> tuple[list[NDArray[np.uint8]], list[FloatArray]]:
    frames: list[NDArray[np.uint8]] = []
    means: list[FloatArray] = []
    scale: list[float] | None = None
    for end in range(window, len(events) + 1, hop):
        part = events[end - window : end]
        last = _row(part[-1][0] - start_us)
        if last >= len(labels_mm):
            break
        first = 0 if end == window else _row(events[end - window - 1][0] - start_us)
        counts = Counter((row, column % 346, column // 346) for _, row, column in part)
        s = [_deviation(counts, camera) for camera in range(4)]
        scale = scale or s
        frames.append(_normalised(counts, scale if fixed else s))
        means.append(_mean(labels_mm[first : last + 1]))
    return frames, means


def _row(t_us: int) -> int:
    return math.floor(t_us / 10_000 + 0.5)


def _deviation(counts: Counter[Point], camera: int) -> float:
    values = [counts[point] for point in sorted(counts) if point[2] == camera]
    if len(values) < 2:
        return 0.1 / 255
    mean = sum(values) / len(values)
    squares = 0.0
    for value in values:
        squares += (value - mean) ** 2
    return max(math.sqrt(squares / (len(values) - 1)), 0.1 / 255)


def _normalised(counts: Counter[Point], s: list[float]) -> NDArray[np.uint8]:
    frame = np.zeros((260, 346, 4), np.uint8)
    for (row, column, camera), count in counts.items():
        frame[row, column, camera] = math.floor(min(255, count * 255 / (3 * s[camera])))
    return frame


def _mean(rows: FloatArray) -> FloatArray:
    mean = np.full((3, len(JOINTS)), NAN)
    for joint in range(len(JOINTS)):
        for axis in range(3):
            seen = [v for v in rows[:, joint, axis].tolist() if not math.isnan(v)]
            total = 0.0
            for value in seen:  # one after the other, as numpy does; `sum` rounds less since 3.12
                total += value
            if seen:
                mean[axis, joint] = total / len(seen)
    return mean
