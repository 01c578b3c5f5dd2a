"""How real are synthetic recordings? A network trained on real ones, kind by kind of movement.

    python benchmarks/realism.py MODEL.onnx DATA

MODEL is the network that the authors of DHP19 published (`ann2sdnn import-ann`), DATA a folder
made by `ann2sdnn synth`. Errors are in pixels over both front cameras, with and without the
median shift of each camera (rows, columns), which is there on real recordings too. The baseline
always answers the mean pose of these very recordings, camera by camera. The second table has every
joint with its median shift in both cameras: a shift is a bias, the rest is scatter.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import FRONT_CHANNELS, camera
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.recordings.recording import Recording, open_recordings
from ann2sdnn.data.synthetic.generate import SUMMARY_FILE
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.graph.onnx.file.session import open_session

FAR_PX = 30.0


@dataclass(frozen=True)
class Seen:
    """``found`` and ``label`` [n, 13, 2]: columns and rows; ``channel`` and ``kind`` [n]."""

    found: NDArray[np.float64]
    label: NDArray[np.float64]
    channel: NDArray[np.int64]
    kind: NDArray[np.str_]


def look(model: Path, data: Path) -> Seen:
    """Run the network on every frame but each recording's first."""
    summary = json.loads((data / SUMMARY_FILE).read_text(encoding="utf-8"))
    kinds = {r["stem"]: r["movement"].split(",")[0] for r in summary["recordings"]}
    session = open_session(load_onnx(model).model)
    found, label, channels, names = [], [], [], []
    for recording in open_recordings(data):
        for channel in FRONT_CHANNELS:
            here, there = positions(session, recording, channel)
            found.append(here)
            label.append(there)
            channels += [channel] * len(here)
            names += [kinds[recording.name.stem]] * len(here)
    return Seen(np.concatenate(found), np.concatenate(label), np.array(channels), np.array(names))


def positions(
    session: onnxruntime.InferenceSession, recording: Recording, channel: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the network finds the joints and where the labels are: [n, 13, 2] each."""
    indices = np.arange(1, recording.n_frames)
    name = session.get_inputs()[0].name
    found = []
    for frame in recording.frames(indices, (channel,)):
        pixels, _ = decode_heatmaps(session.run(None, {name: frame[None].astype(np.float32)})[0])
        found.append(pixels[0])
    # Real numbers, where `project_labels` truncates as the data set does.
    label = camera(channel).project(np.moveaxis(recording.labels(indices), 1, 2))
    return np.array(found, np.float64), label


def report(seen: Seen) -> str:
    """One line a kind of movement, a camera, and for all."""
    difference = seen.found - seen.label
    shifted, baseline = difference.copy(), difference.copy()
    lines = []
    for channel in FRONT_CHANNELS:
        here = seen.channel == channel
        shift = np.median(difference[here].reshape(-1, 2), axis=0)
        shifted[here] -= shift
        baseline[here] = seen.label[here] - seen.label[here].mean(axis=0)
        lines.append(f"channel {channel}: shifted by {shift[1]:.1f} rows, {shift[0]:.1f} columns")
    raw_px, px, guess_px = (np.linalg.norm(d, axis=2) for d in (difference, shifted, baseline))
    lines.append(
        f"{'':18s}{'error':>7s}{'median':>8s}{'unshifted':>11s}{'median':>8s}"
        f"{'>30 px':>8s}{'guess':>7s}{'guess/unshifted':>17s}"
    )
    rows = [(str(kind), seen.kind == kind) for kind in dict.fromkeys(seen.kind)]
    rows += [(f"channel {channel}", seen.channel == channel) for channel in FRONT_CHANNELS]
    rows.append(("all", np.ones(len(seen.kind), bool)))
    for name, here in rows:
        lines.append(
            f"{name:18s}{raw_px[here].mean():7.1f}{np.median(raw_px[here]):8.1f}"
            f"{px[here].mean():11.1f}{np.median(px[here]):8.1f}"
            f"{100 * (px[here] > FAR_PX).mean():7.1f}%{guess_px[here].mean():7.1f}"
            f"{guess_px[here].mean() / px[here].mean():17.2f}"
        )
    return "\n".join([*lines, "", *joint_lines(difference, seen.channel)])


def joint_lines(difference: NDArray[np.float64], channel: NDArray[np.int64]) -> list[str]:
    """One line per joint; ``difference`` [n, 13, 2]: found minus label, columns and rows."""
    px = np.linalg.norm(difference, axis=2)
    shifts = "".join(f"{f'rows, columns in {c}':>22s}" for c in FRONT_CHANNELS)
    lines = [f"{'':18s}{'error':>7s}{'median':>8s}{'>30 px':>8s}{shifts}"]
    for number, joint in enumerate(JOINTS):
        medians = [np.median(difference[channel == c, number], axis=0) for c in FRONT_CHANNELS]
        shifts = "".join(f"{rows:13.1f},{columns:8.1f}" for columns, rows in medians)
        far = 100 * (px[:, number] > FAR_PX).mean()
        lines.append(
            f"{joint:18s}{px[:, number].mean():7.1f}{np.median(px[:, number]):8.1f}{far:7.1f}%"
            + shifts
        )
    return lines


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    print(report(look(arguments.model, arguments.data)))  # noqa: T201


if __name__ == "__main__":
    main()
