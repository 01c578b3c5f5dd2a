"""The boxes that a face detector finds as an ANN and as an SDNN, on real video.

    python benchmarks/faces.py MODEL CALIBRATION TEST OUT [--shifts S] [--budget-error E]

MODEL: version-slim-320_simplified.onnx of Ultra-Light-Fast-Generic-Face-Detector-1MB (Linzaer, MIT
licence; folder models/onnx of its repository). CALIBRATION and TEST: videos, or folders of them.
Writes the conversion into OUT, where there is none yet, and prints what `compare` measured on TEST
and how far the SDNN's boxes lie from the ANN's. For comparison: how far the ANN's own boxes move
when every value of TEST is one count more or less, or as it is, at random.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

import ann2sdnn as a2s
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions, Shifts
from ann2sdnn.data.sources.given import frames_of
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.progress import PlainReporter

HEIGHT, WIDTH = 240, 320
_LEAST_SCORE, _MOST_OVERLAP = 0.7, 0.3  # of the detector's own demo
# Its anchors (vision/ssd/config/fd_config.py): pixels per cell, and sizes in pixels.
_ANCHORS = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
Floats = NDArray[np.float64]


def anchors() -> Floats:
    """[4420, 4]: centre and size of every anchor, in pixels."""
    rows = []
    for step, sizes in _ANCHORS.items():
        for y in range(-(-HEIGHT // step)):
            for x in range(-(-WIDTH // step)):
                centre = ((x + 0.5) * step, (y + 0.5) * step)
                rows += [(*centre, size, size) for size in sizes]
    return np.array(rows, np.float64)


def decoded(offsets: NDArray[np.floating[Any]], of: Floats) -> Floats:
    """Corners [N, 4] (left, top, right, bottom) in pixels for the detector's ``offsets`` [N, 4]."""
    centre = of[:, :2] + _CENTRE_VARIANCE * offsets[:, :2] * of[:, 2:]
    half = of[:, 2:] * np.exp(_SIZE_VARIANCE * offsets[:, 2:]) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def detections(scores: NDArray[np.floating[Any]], boxes: Floats) -> Floats:
    """The boxes [n, 4] of faces: the surest first, without those that overlap a surer one."""
    order = np.argsort(-scores)
    left = [int(i) for i in order if scores[i] > _LEAST_SCORE]
    kept: list[int] = []
    for index in left:
        if all(_overlap(boxes[index], boxes[other]) <= _MOST_OVERLAP for other in kept):
            kept.append(index)
    return boxes[kept]


def _overlap(a: Floats, b: Floats) -> float:
    size = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    common = float(size.prod())
    return common / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - common)


@dataclass
class Agreement:
    """How the boxes of an SDNN compare with the ANN's, over frames."""

    n_frames: int = 0
    n_faces: int = 0
    n_alike: int = 0
    """Frames with as many boxes, each within a pixel of the ANN's."""
    n_other: int = 0
    """Frames with more boxes, or fewer."""
    farthest_px: float = 0.0

    def add(self, expected: Floats, found: Floats) -> None:
        """A frame: boxes [n, 4] of the ANN and of the SDNN."""
        self.n_frames += 1
        self.n_faces += len(expected)
        if len(expected) != len(found):
            self.n_other += 1
            return
        far = 0.0
        for box in expected:
            far = max(far, float(np.abs(found - box).max(axis=1).min()))
        self.farthest_px = max(self.farthest_px, far)
        self.n_alike += far <= 1.0


def converted(
    model: Path, frames: Path, folder: Path, budget: float | None, shifts: Shifts
) -> a2s.Sdnn:
    """The conversion in ``folder``, made where there is none."""
    if not folder.is_dir():
        options = ConvertOptions(
            input_mean=(127.0,),
            input_std=(128.0,),
            resize=(HEIGHT, WIDTH),
            split="all",
            quantise=QuantiseOptions(shifts=shifts),
        )
        reporter = PlainReporter(sys.stderr)
        sdnn = a2s.to_sdnn(
            a2s.from_onnx(model), frames, budget_error=budget, options=options, reporter=reporter
        )
        sdnn.save(folder)
    return a2s.load(folder)


def agreements(sdnn: a2s.Sdnn, frames: Path) -> tuple[Agreement, Agreement]:
    """Boxes of the ANN in all ``frames`` beside the SDNN's, and beside its own with noise."""
    pair, ann = (Agreement(), Agreement()), FloatNetwork(sdnn.graph)
    generator = torch.Generator().manual_seed(0)
    for sequence in resized(frames_of(frames, split="all"), (HEIGHT, WIDTH)):
        shown = torch.from_numpy(np.concatenate(list(sequence.chunks())))
        noise = torch.randint(-1, 2, shown.shape, generator=generator)
        noisy = (shown.int() + noise).clamp(0, 255).to(torch.uint8)
        expected = faces(sdnn, ann(ann.encode(shown)))
        found = (faces(sdnn, sdnn.run(shown).outputs), faces(sdnn, ann(ann.encode(noisy))))
        for agreement, boxes in zip(pair, found, strict=True):
            for one, other in zip(expected, boxes, strict=True):
                agreement.add(one, other)
    return pair


def faces(sdnn: a2s.Sdnn, outputs: torch.Tensor) -> list[Floats]:
    """The boxes [n, 4] in each frame of the network's joined ``outputs``."""
    answer, of = sdnn.file_outputs(outputs), anchors()
    pairs = zip(answer["scores"], answer["boxes"], strict=True)
    return [
        detections(scores.reshape(-1, 2)[:, 1], decoded(boxes.reshape(-1, 4).astype(float), of))
        for scores, boxes in pairs
    ]


def main() -> None:
    """Parse the arguments and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--budget-error", type=float, help="of convert")
    parser.add_argument("--shifts", choices=get_args(Shifts), default="stock", help="of convert")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sdnn = converted(
        arguments.model,
        arguments.calibration,
        arguments.out,
        arguments.budget_error,
        arguments.shifts,
    )
    sys.stdout.write(sdnn.compare(arguments.test).table())
    found = agreements(sdnn, arguments.test)
    for name, one in zip(("SDNN", "ANN with noise"), found, strict=True):
        sys.stdout.write(
            f"{name}, {one.n_frames} frames with {one.n_faces} faces: in {one.n_alike} all boxes"
            f" lie within 1 px of the ANN's, in {one.n_other} there are more or fewer; the farthest"
            f" of the others is {one.farthest_px:.2f} px off\n"
        )


if __name__ == "__main__":
    main()
