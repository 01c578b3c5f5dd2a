"""Torchvision's ResNet-18 and MobileNetV2 with random weights, converted: a row of a table each.

    python benchmarks/torchvision_models.py [--only NAME ...] [--shifts stock] [--relays N]

Needs torchvision and minutes. The weights are those that torchvision begins a training with;
the statistics of batch normalisation are set on a few frames, so that activations have the sizes
that they have in a trained network. Frames are those of `benchmarks/applications/scenes.py`. The
network is converted as `ann2sdnn.to_sdnn` does it, with a shift per layer and no relays unless the
options say something else, and run on other sequences.
"""

import argparse
import importlib
import sys
import time
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from applications.scenes import SIZE, scene
from numpy.typing import NDArray
from torch import Tensor, nn

import ann2sdnn as a2s
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions, Shifts
from ann2sdnn.support.progress import PlainReporter, Reporter
from ann2sdnn.support.terminal import compact

NAMES = ("resnet18", "mobilenet_v2")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CALIBRATION_SEQUENCES, OTHER_SEQUENCES = 4, 2
HEADINGS = (
    "network",
    "shifts",
    "layers",
    "outputs vary by",
    "error: predicted",
    "calibration frames",
    "other frames, memoryless",
    "other frames, SDNN",
    "operations: dense",
    "skipping zeros",
    "memoryless",
    "SDNN",
    "messages",
    "seconds",
)


@dataclass(frozen=True, eq=False)
class Converted:
    """A converted network and what it costs.

    ``variation``: root mean square of what the ANN's outputs differ by from their mean over the
    frames, over that of the outputs; ``seconds`` of the conversion.
    """

    name: str
    sdnn: a2s.Sdnn
    comparison: a2s.Comparison
    variation: float
    seconds: float

    def cells(self) -> tuple[str, ...]:
        """A row of the table, in the order of ``HEADINGS``."""
        rows, report = self.comparison, self.sdnn.report
        errors = (
            report.fidelity.foreseen_relative_error,
            report.fidelity.heatmap_relative_error,
            rows["memoryless"].relative_error,
            rows["sdnn"].relative_error,
        )
        work = (rows["ann"], rows["ann, zeros skipped"], rows["memoryless"], rows["sdnn"])
        return (
            self.name,
            report.plan.shifts,
            str(len(self.sdnn.spec.layers)),
            f"{self.variation:.2f}",
            *("-" if error is None else f"{error:.3f}" for error in errors),
            *(compact(row.operations_per_frame) for row in work),
            compact(rows["sdnn"].messages_per_frame or 0),
            f"{self.seconds:.0f}",
        )


def moving(seed: int, number: int) -> list[NDArray[np.uint8]]:
    """``number`` sequences [8, 3, 64, 64] of two moving shapes."""
    rng = np.random.default_rng(seed)
    return [scene(rng, 2, (8, 16))[0] for _ in range(number)]


@torch.no_grad()
def with_statistics(network: nn.Module, x: Tensor) -> nn.Module:
    """``network`` in evaluation mode; batch normalisation has the statistics of ``x``."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the statistics are the average over all passes: of one
    network.train()(x)
    return network.eval()


def inputs(sequences: list[NDArray[np.uint8]]) -> Tensor:
    """The networks' input [T, 3, 64, 64] for the frames of ``sequences``."""
    mean, std = (torch.tensor(each).reshape(-1, 1, 1) for each in (MEAN, STD))
    return (torch.from_numpy(np.concatenate(sequences)).float() / 255 - mean) / std


def random_network(name: str) -> nn.Module:
    """Torchvision's architecture ``name`` with random weights."""
    torch.manual_seed(0)
    models = importlib.import_module("torchvision.models")
    network: nn.Module = getattr(models, name)(weights=None)
    return with_statistics(network, inputs(moving(1, 8)))


@torch.no_grad()
def variation(network: nn.Module, x: Tensor) -> float:
    """Share of the outputs' root mean square that differs from frame to frame."""
    y = network(x)
    return float((y - y.mean(dim=0)).square().mean().sqrt() / y.square().mean().sqrt())


def converted(name: str, options: ConvertOptions, reporter: Reporter) -> Converted:
    """Convert torchvision's ``name`` and run it on sequences that calibration did not see."""
    module = random_network(name)
    network = a2s.from_torch(
        module,
        torch.zeros(1, 3, SIZE, SIZE),
        input_scale=1 / 255,
        input_mean=MEAN,
        input_std=STD,
    )
    calibration, others = moving(2, CALIBRATION_SEQUENCES), moving(3, OTHER_SEQUENCES)
    started = time.monotonic()
    sdnn = a2s.to_sdnn(network, calibration, options=options, reporter=reporter)
    seconds = time.monotonic() - started
    return Converted(
        name,
        sdnn,
        sdnn.compare(others),
        variation(module, inputs(others)),
        seconds,
    )


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument(
        "--shifts", choices=get_args(Shifts), default="per-layer", help="of convert"
    )
    parser.add_argument("--relays", type=int, default=0, help="of convert")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quantise = QuantiseOptions(relays=arguments.relays, shifts=arguments.shifts)
    options, reporter = ConvertOptions(quantise=quantise), PlainReporter(sys.stderr)
    rows = [converted(name, options, reporter).cells() for name in arguments.only]
    lines = [HEADINGS, ("---",) * len(HEADINGS), *rows]
    sys.stdout.write("\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n")


if __name__ == "__main__":
    main()
