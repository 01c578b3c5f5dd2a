"""Times the conversion of a deep network: `python benchmarks/deep.py OUT`, minutes.

Writes OUT/deep.onnx, a chain of 50 layers for pictures of 224x224 (a stem of 7x7, max pooling, 48
convolutions in 16 bottlenecks without shortcuts, the global average, a dense layer of 1,000
outputs; 1.7 billion operations, 1.8 million pairs of channels), and OUT/frames.npz, 8 sequences of
16 frames in which a texture and two discs move. Then it converts them in a process of its own and
prints the seconds of each stage, CPU time and peak memory.

The weights are random. Each layer's are scaled and shifted on a few frames so that pre-activations
have about unit variance, half of them above zero, and so that a small change of the input keeps
its relative size from layer to layer, as in a trained network.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
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
_KEPT = 0.9  # share of a pre-activation's mean that its bias takes away
_SHIFT = 0.3  # of the mean, in standard deviations
_FITTED_ON = 8  # frames


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
    bias.zero_()
    _align(layer, x)
    z = layer(x)
    axes = [axis for axis in range(z.ndim) if axis != 1]
    mean, spread = z.mean(dim=axes), z.std(dim=axes).clamp_min(1e-6)
    gain = torch.randn(len(mean), generator=generator).mul(0.25).exp() / spread
    shift = _SHIFT + 0.3 * torch.randn(len(mean), generator=generator)
    layer.weight.mul_(gain.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    bias.copy_(shift - _KEPT * mean * gain)
    return layer(x)


_ALIGNED = 0.25


def _align(layer: nn.Conv2d | nn.Linear, x: Tensor) -> None:
    """Turn the weights towards what ``x`` varies in, and smooth kernels."""
    channels = x.transpose(0, 1).flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(channels).double())
    root = (vectors * values.clamp_min(0) ** _ALIGNED) @ vectors.T
    weight = layer.weight
    weight.copy_(torch.einsum("oi...,ij->oj...", weight.double(), root))
    if weight.ndim == 4 and weight.shape[2] > 1:
        n = weight.shape[2]
        at = torch.arange(n) - (n - 1) / 2
        window = torch.exp(-(at**2) / (2 * (n / 4) ** 2))
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
