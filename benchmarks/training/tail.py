r"""Where a pose network's error lies: joints far off, their confidence, and how maps are read.

    python benchmarks/training/tail.py MODEL.onnx PEOPLE [--split test] [--pictures 200]

The last picture of as many sequences of PEOPLE, evenly spaced. A joint is read where its map is
largest, as in the DHP19 paper; *centre of mass* is the mean position of the map's positive values
within 9 px of there.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.weights.pretrained import model_file
from ann2sdnn.ann.weights.read import read_network
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.sources.frames import PoseFrames
from ann2sdnn.data.sources.registry import open_frames

FAR_PX, RADIUS_PX, UNSURE = 10.0, 9, 0.3


def centre_of_mass(heatmap: NDArray[np.float32], pixel: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean (column, row) of the positive values around ``pixel`` of ``heatmap`` [H, W]."""
    column, row = (int(each) for each in pixel)
    top, left = max(0, row - RADIUS_PX), max(0, column - RADIUS_PX)
    mass = np.maximum(heatmap[top : row + RADIUS_PX + 1, left : column + RADIUS_PX + 1], 0)
    if not mass.any():
        return pixel.astype(np.float64)
    rows, columns = np.mgrid[: mass.shape[0], : mass.shape[1]]
    offsets = np.array([(columns * mass).sum(), (rows * mass).sum()]) / mass.sum()
    centre: NDArray[np.float64] = offsets + np.array([left, top])
    return centre


def distances(network: PoseNet, input_scale: float, frames: PoseFrames) -> NDArray[np.float64]:
    """Of each visible joint in the last picture: px off, px off by centre of mass, confidence."""
    pictures, labels = np.concatenate(list(frames.chunks())), frames.labels()
    with torch.no_grad():
        maps = network(torch.from_numpy(pictures[-1:]).float() * input_scale)
    pixels, confidence = decode_heatmaps(maps)
    centres = [centre_of_mass(*each) for each in zip(maps[0].numpy(), pixels[0], strict=True)]
    found = [np.linalg.norm(each - labels.pixels[-1], axis=-1) for each in (pixels[0], centres)]
    measured = np.stack([*found, confidence[0]], axis=-1)
    seen: NDArray[np.float64] = measured[labels.visible[-1]]
    return seen


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="all")
    parser.add_argument("--pictures", type=int, default=200)
    given = parser.parse_args()
    weights, input_scale = read_network(model_file(given.model))
    network = PoseNet.from_weights(weights).eval()
    sequences = open_frames(given.data, split=given.split)
    poses = [frames for frames in sequences if isinstance(frames, PoseFrames)]
    if not poses:
        parser.error(f"{given.data} has no recordings of people")
    chosen = poses[:: max(1, len(poses) // given.pictures)][: given.pictures]
    off, centre, confidence = np.concatenate(
        [distances(network, input_scale, frames) for frames in chosen]
    ).T
    far = off > FAR_PX
    share, unsure = off[far].sum() / off.sum(), (confidence[far] < UNSURE).mean()
    sys.stdout.write(
        f"{len(chosen)} pictures: {off.mean():.2f} px, median {np.median(off):.2f} px\n"
        f"more than {FAR_PX:g} px off: {far.mean():.1%} of the joints, {share:.0%} of the error,"
        f" {unsure:.0%} of them with a confidence below {UNSURE}\n"
        f"centre of mass: {centre.mean():.2f} px\n"
    )


if __name__ == "__main__":
    main()
