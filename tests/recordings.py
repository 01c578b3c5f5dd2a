"""Tiny recordings in DHP19's format, and a tiny network that reads them."""

from pathlib import Path

import numpy as np
from onnx_models import ModelBuilder, random_weights

from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.events.windows import Events, labelled_frames
from ann2sdnn.data.recordings.writer import recording_writer, write_recording

CHEST_MM = np.array([-100.0, 300.0, 1200.0])


def write_recordings(folder: Path, *, subjects: int = 2, frames: int = 6, seed: int = 0) -> Path:
    """One recording a subject: a textured patch that walks, and joints around the chest."""
    rng = np.random.default_rng(seed)
    for subject in range(1, subjects + 1):
        with recording_writer(folder, f"S{subject}_session1_mov1") as writer:
            texture = rng.integers(30, 256, (60, 40, 4)).astype(np.uint8)
            for t in range(frames):
                frame = np.zeros((260, 346, 4), np.uint8)
                column = 140 + 3 * t + 5 * subject
                frame[90:150, column : column + 40] = texture
                joints = CHEST_MM + rng.normal(0, 150, (13, 3))
                writer.append(frame, joints.T.copy())
    return folder


def write_overlapping(folder: Path, *, subjects: int = 1, hops_per_window: int = 4) -> Path:
    """Recordings of overlapping windows: a cloud of events that wanders, as do the joints."""
    hop, n_events = 500, 6000
    windows = Windows(hop * hops_per_window, hop)
    for subject in range(1, subjects + 1):
        rng = np.random.default_rng(subject)
        drift = np.arange(n_events) * 60 / n_events
        events = Events(
            (140 + drift + 12 * rng.standard_normal(n_events)).clip(0, 345).astype(np.uint16),
            (110 + 25 * rng.standard_normal(n_events)).clip(0, 259).astype(np.uint16),
            rng.integers(0, 4, n_events).astype(np.uint8),
            np.arange(n_events) * 100,
        )
        rows = np.arange(n_events // 100 + 2)[:, None, None]
        labels = CHEST_MM + rng.normal(0, 150, (13, 3)) + rows * np.array([4.0, 0.0, 0.0])
        frames = labelled_frames([events], labels, 0, windows)
        write_recording(folder, f"S{subject}_session1_mov1", frames, windows)
    return folder


def write_network(path: Path, *, seed: int = 0, factor: float = 1.0) -> Path:
    """A network from 1 x 260 x 344 to 13 heat maps in two cheap layers."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder(("N", 1, "H", "W"))
    builder.add("Conv", factor * np.abs(random_weights(rng, 4, 1, 3, 3)), pads=(1, 1, 1, 1))
    builder.add("Relu").add("MaxPool", kernel_shape=(2, 2), strides=(2, 2))
    builder.add("ConvTranspose", random_weights(rng, 4, 13, 2, 2), strides=(2, 2)).add("Relu")
    builder.metadata["ann2sdnn.input_scale"] = str(1 / 255)
    return builder.save(path)
