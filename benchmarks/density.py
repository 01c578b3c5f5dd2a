"""The engine from few messages to as many as there can be: `python benchmarks/density.py DIR`.

DIR is a conversion. In every frame, a share of the pixels gets a new random value, and all
thresholds are 0, so that every change is sent. The network runs as it is, and without its ReLUs, of
which nearly every neuron changes then; its weights are random numbers, small enough for all values
to stay in range. Beside it runs the ANN in ONNX Runtime (float32) on the same frames, alternating,
first frames left out. Times are medians over rounds. A minute or two.
"""

import argparse
import itertools
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from engine_cost import Case, ann_case, sdnn_case
from torch import Tensor

from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.sdnn.spec.grid import SHIFT, WEIGHT_STEP
from ann2sdnn.sdnn.spec.spec import Spec

SHARES = (0.01, 0.1, 0.5, 1.0)
N_FRAMES = 12


def noise(shape: tuple[int, int, int], share: float) -> Tensor:
    """Frames uint8 [T, C, H, W] of which a ``share`` of the pixels changes."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (N_FRAMES, *shape)).astype(np.uint8)
    for before, after in itertools.pairwise(frames):
        np.copyto(after, before, where=rng.random(shape) >= share)
    return torch.from_numpy(frames)


def loud(spec: Spec) -> Spec:
    """``spec`` with thresholds of 0."""
    return replace(spec, layers=tuple(replace(layer, threshold=0) for layer in spec.layers))


def without_relu(spec: Spec) -> Spec:
    """``spec`` without ReLUs, with random weights that keep values about as large as they come."""
    rng = np.random.default_rng(1)
    layers = []
    for layer in spec.layers:
        spread = 2**SHIFT / np.sqrt(np.prod(layer.weight.shape[1:]))
        weight = WEIGHT_STEP * np.rint(rng.normal(0, spread / WEIGHT_STEP, layer.weight.shape))
        layers.append(
            replace(layer, weight=weight.astype(np.int16), relu=False, shift=SHIFT, threshold=0)
        )
    return replace(spec, layers=tuple(layers))


def timed(cases: list[Case], rounds: int) -> None:
    """Alternating rounds; the first one warms up."""
    for turn in range(rounds + 1):
        for case in cases:
            case.time()
            if turn == 0:
                case.all_ms.clear()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("conversion", type=Path, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--threads", type=int, default=1, help="threads of every network")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    conversion = open_conversion(given.conversion)
    sys.stdout.write("network       pixels  messages  operations    ms  ONNX Runtime  ratio\n")
    for name, spec in (
        ("as it is", loud(conversion.spec)),
        ("no ReLU", without_relu(conversion.spec)),
    ):
        for share in SHARES:
            frames = noise(spec.input_shape, share)
            cases = [sdnn_case(name, spec, frames), ann_case(conversion, frames)]
            timed(cases, given.rounds)
            ms, ann_ms = (statistics.median(case.all_ms) for case in cases)
            counts = cases[0].counts or {}
            sys.stdout.write(
                f"{name:12} {share:7.0%} {counts['messages'] / 1e6:7.2f} M"
                f" {counts['operations'] / 1e6:8.0f} M {ms:7.1f} {ann_ms:12.1f}"
                f" {ann_ms / ms:6.2f}\n"
            )


if __name__ == "__main__":
    main()
