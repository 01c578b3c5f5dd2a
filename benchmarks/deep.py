"""Times the conversion of a deep network: `python benchmarks/deep.py OUT`, minutes.

Writes OUT/deep.onnx, a chain of 50 layers for pictures of 224x224 (a stem of 7x7, max pooling, 48
convolutions in 16 bottlenecks without shortcuts, the global average, a dense layer of 1,000
outputs; 1.7 billion operations, 1.8 million pairs of channels), and OUT/frames.npz, 8 sequences of
16 frames in which a texture and two discs move. Then `ann2sdnn convert` runs in a process of its
own, into OUT/sdnn, and its time and peak memory are printed beside the seconds of every stage.

The weights are random, but turned towards what each layer's input varies in, and scaled on a few
frames, so that pre-activations keep a variance of about 1 and small errors fade from layer to layer
as they do in trained networks: a chain of 50 layers of independent weights is chaotic.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SIZE, SEQUENCES, LENGTH = 224, 8, 16
CLASSES = 1000
# Bottlenecks, their inner channels and what they send, as in ResNet-50 up to the widths.
STAGES = ((3, 64, 256), (4, 128, 256), (6, 128, 256), (3, 128, 512))
_FITTED_ON = 8  # frames
_ALIGNED = 0.25  # power of the input's covariance that weights are multiplied by
_KEPT = 0.9  # share of a pre-activation's mean that its bias takes away
_SHIFT, _SPREAD = 0.3, 0.3  # of biases, in standard deviations
_GAINS = 0.25  # standard deviation of the log of a channel's gain


@dataclass(frozen=True)
class Convolution:
    """A convolution with a ReLU."""

    n_in: int
    n_out: int
    kernel: int
    stride: int = 1


def convolutions() -> list[Convolution]:
    """The 49 convolutions in their order; a max pooling follows the first."""
    found = [Convolution(3, 64, 7, 2)]
    for stage, (blocks, inner, outer) in enumerate(STAGES):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            found.append(Convolution(found[-1].n_out, inner, 1))
            found.append(Convolution(inner, inner, 3, stride))
            found.append(Convolution(inner, outer, 1))
    return found


@torch.no_grad()
def deep_network(frames: Tensor, seed: int) -> nn.Sequential:
    """The network, scaled on ``frames`` [T, 3, 224, 224] of 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    x = frames
    for index, each in enumerate(convolutions()):
        layer = nn.Conv2d(each.n_in, each.n_out, each.kernel, each.stride, each.kernel // 2)
        layer.weight.normal_(generator=generator)
        x = _scaled(layer, x, generator).relu()
        layers += [layer, nn.ReLU()]
        if index == 0:
            layers.append(nn.MaxPool2d(3, 2, 1))
            x = layers[-1](x)
    x = x.mean(dim=(2, 3))
    dense = nn.Linear(x.shape[1], CLASSES)
    dense.weight.normal_(generator=generator)
    _scaled(dense, x, generator)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense).eval()


def _scaled(layer: nn.Conv2d | nn.Linear, x: Tensor, generator: torch.Generator) -> Tensor:
    """Scale and shift ``layer`` by its pre-activations for ``x``, and return the new ones."""
    bias = layer.bias
    assert bias is not None
    bias.zero_()
    _align(layer.weight, x)
    z = layer(x)
    axes = [axis for axis in range(z.ndim) if axis != 1]
    mean, spread = z.mean(dim=axes), z.std(dim=axes).clamp_min(1e-6)
    n_channels = len(mean)
    gain = torch.randn(n_channels, generator=generator).mul(_GAINS).exp() / spread
    shift = _SHIFT + _SPREAD * torch.randn(n_channels, generator=generator)
    layer.weight.mul_(gain.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    bias.copy_(shift - _KEPT * mean * gain)
    return layer(x)


def _align(weight: Tensor, x: Tensor) -> None:
    """Turn ``weight`` towards what its input ``x`` varies in, and smooth its kernel, in place."""
    values, vectors = torch.linalg.eigh(torch.cov(x.transpose(0, 1).flatten(1)).double())
    root = (vectors * values.clamp_min(0) ** _ALIGNED) @ vectors.T
    weight.copy_(torch.einsum("oi...,ij->oj...", weight.double(), root))
    if weight.ndim == 4:
        taps = weight.shape[2]
        window = torch.exp(-8 * ((torch.arange(taps) - (taps - 1) / 2) / taps) ** 2)
        weight.mul_(window[:, None] * window)


def moving_frames(seed: int) -> NDArray[np.uint8]:
    """[128, 3, 224, 224]: textures with the spectrum of photographs, in front of them two discs;
    all move by a few pixels from frame to frame.
    """
    rng = np.random.default_rng(seed)
    frames = np.empty((SEQUENCES, LENGTH, 3, SIZE, SIZE), np.uint8)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for sequence in frames:
        textures = [_texture(rng, 2 * SIZE) for _ in range(3)]
        places = rng.uniform(SIZE // 4, SIZE, (3, 2))
        steps = rng.uniform(-3, 3, (3, 2)) * [[0.5], [1], [1]]
        radii = rng.uniform(SIZE / 10, SIZE / 4, 3)
        for frame in sequence:
            places += steps
            top, left = np.rint(places[0]).astype(int) % SIZE
            frame[:] = textures[0][:, top : top + SIZE, left : left + SIZE]
            for texture, place, radius in zip(textures[1:], places[1:], radii[1:], strict=True):
                row, column = place % SIZE
                inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
                top, left = SIZE - round(row), SIZE - round(column)
                patch = texture[:, top : top + SIZE, left : left + SIZE]
                frame[:, inside] = patch[:, inside]
    return frames.reshape(-1, *frames.shape[2:])


def _texture(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """[3, size, size]: noise with amplitudes of one over the frequency, periodic."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    grey, *colours = (
        np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) / frequency) for _ in range(4)
    )
    channels = np.stack([grey + 0.4 * colour for colour in colours])
    return np.clip(127 + 55 * channels / channels.std(), 0, 255).astype(np.uint8)


def write_network_and_frames(out: Path, seed: int) -> None:
    """Write ``out``/deep.onnx and ``out``/frames.npz."""
    import ann2sdnn as a2s

    frames = moving_frames(seed)
    example = torch.from_numpy(frames[:: SEQUENCES * LENGTH // _FITTED_ON]).float() / 255
    network = deep_network(example, seed)
    file = a2s.from_torch(network, torch.zeros(1, 3, SIZE, SIZE), input_scale=1 / 255)
    file.write(out / "deep.onnx")
    np.savez(out / "frames.npz", frames=frames, lengths=np.full(SEQUENCES, LENGTH))


def convert(out: Path, options: list[str]) -> None:
    """Convert ``out``/deep.onnx in a process of its own, and print what that took."""
    command = [sys.executable, "-c", "from ann2sdnn.cli.app import main; main()", "convert"]
    command += [str(out / "deep.onnx"), "--calibrate", str(out / "frames.npz"), "--split", "all"]
    command += ["--out", str(out / "sdnn"), "--force", "--quiet", *options]
    start = time.monotonic()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("the conversion failed")
    wall = time.monotonic() - start
    report = json.loads((out / "sdnn" / "report.json").read_text())
    rows = [*report["seconds"].items(), ("all, with reading and writing", wall)]
    table = "".join(f"| {stage} | {seconds:.0f} |\n" for stage, seconds in rows)
    sys.stdout.write(
        f"\n| stage | seconds |\n|---|---|\n{table}\nCPU time"
        f" {used.ru_utime + used.ru_stime:.0f} s, peak memory {used.ru_maxrss / 1e6:.2f} GB;"
        f" {len(report['plan']['relays'])} relays, relative error against the ANN"
        f" {report['fidelity']['heatmap_relative_error']:.3f}\n"
    )


def main() -> None:
    """Make the network and its frames where they are not there, then convert."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", help="after --: options of `ann2sdnn convert`")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not (arguments.out / "deep.onnx").exists():
        write_network_and_frames(arguments.out, arguments.seed)
    convert(arguments.out, arguments.options)


if __name__ == "__main__":
    main()
