"""Runs the engine on very many frames: `python benchmarks/endurance.py pretrained --frames 100000`.

A network gets a blob that moves over noise, frame after frame without a reset: `small`, three
convolutions with random weights, where every pixel is noisy, or `pretrained`, the network that
comes along, on 32x32 pixels of which one in a hundred is noisy. Per block of frames it prints the
median CPU time per frame, the memory of the process, and over all layers the largest distance of
what a receiver has summed up from its sender's activation, as a share of the bound: a change below
the threshold is not sent, nor what the shift to a message cuts off. A share of 1 or more would be
drift; `beyond` is the largest distance beyond the bound, in units of the state, and the exit code
is 1 where it is not 0. Activations are computed from the received sums in integers, without the
engine.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ann2sdnn
from ann2sdnn.graph.cropping import cropped
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.reference.equations import wrapped
from ann2sdnn.sdnn.spec.grid import SHIFT
from ann2sdnn.sdnn.spec.spec import Spec

HEIGHT, WIDTH = 16, 20
CROP = (32, 32)
_CHUNK = 50
_NOISY = 0.01  # of the pixels of a large frame, where a camera's mostly rest
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Block:
    """One block of frames.

    ``distance``: of receivers from their senders, over all neurons at the block's end.
    """

    frames: int
    us_per_frame: float
    """CPU time."""
    memory_mb: float
    distance: "Distance"
    messages: float
    """Per frame."""


@dataclass(frozen=True)
class Distance:
    """The largest distance of a received sum from its sender's activation.

    ``share``: of its bound. ``beyond``: what is beyond the bound, in units of the state.
    """

    share: float
    beyond: int


def small_spec(seed: int = 0) -> Spec:
    """Three convolutions with a pooling, converted with a budget, all layers stateful."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(6, 2, 1)),
    )
    network = ann2sdnn.from_torch(module, torch.zeros(1, 1, HEIGHT, WIDTH), input_scale=1 / 255)
    shown = [next(chunks(64, seed=number)).clone() for number in range(8)]
    return ann2sdnn.to_sdnn(network, shown, budget_error=0.02).points.lava


def pretrained_spec() -> Spec:
    """The network that comes along, for frames of the size ``CROP``; all layers are stateful."""
    spec = cropped(ann2sdnn.pretrained().points.lava, CROP)
    assert all(layer.is_stateful for layer in spec.layers)
    return spec


NETWORKS: dict[str, Callable[[], Spec]] = {"small": small_spec, "pretrained": pretrained_spec}


def chunks(
    n_frames: int, *, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH), noisy: float = 1.0
) -> Iterator[Tensor]:
    """Frames [n, 1, H, W] uint8 of a blob on a walk over noise, few at a time.

    ``noisy``: share of the pixels that get noise in a frame.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    n_chunk = min(_CHUNK, n_frames)
    for first in range(0, n_frames, n_chunk):
        t = np.arange(first, min(first + n_chunk, n_frames))[:, None, None]
        row, column = height * (0.5 + 0.3 * np.sin(t / 37)), width * (0.5 + 0.35 * np.cos(t / 53))
        blob = 180 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 12)
        noise = rng.integers(0, 12, (len(t), *size))
        if noisy < 1:
            noise *= rng.random(noise.shape) < noisy
        yield torch.from_numpy((blob + noise).astype(np.uint8)[:, None])


def endure(spec: Spec, n_frames: int, block_frames: int) -> Iterator[Block]:
    """Run ``n_frames`` and measure every ``block_frames``."""
    engine = Engine(spec)
    received = [np.zeros(shape, np.int64) for shape in spec.plane_shapes]
    times: list[float] = []
    events = done = 0
    size = spec.input_shape[1:]
    noisy = 1.0 if size == (HEIGHT, WIDTH) else _NOISY
    for chunk in chunks(n_frames, size=size, noisy=noisy):
        started = time.process_time()
        result = engine.run(chunk, keep_messages=True)
        times.append((time.process_time() - started) / len(chunk))
        events += int(result.events.sum())
        assert result.messages is not None
        for plane, messages in zip(received, result.messages, strict=True):
            np.add(plane, _whole(messages.sum(dim=0, dtype=torch.float64), spec), out=plane)
        done += len(chunk)
        if done % block_frames == 0:
            yield Block(
                frames=done,
                us_per_frame=1e6 * float(np.median(times)),
                memory_mb=_memory_bytes() / 1e6,
                distance=largest_distance(spec, received),
                messages=events / block_frames,
            )
            times, events = [], 0


def largest_distance(spec: Spec, received: list[NDArray[np.int64]]) -> Distance:
    """The largest distance over all layers.

    ``received``: sums of the messages of the input and each layer [C, H, W], in message units.
    """
    shares, beyond = [], []
    for layer, reads, own in zip(spec.layers, spec.reads, received[1:], strict=True):
        arrived = sum(
            synapse.geometry.integer_linear(received[plane], synapse.weight.astype(np.int64))
            for synapse, plane in zip(layer.synapses, reads, strict=True)
        )
        z = wrapped(np.asarray(arrived, np.int64))
        if layer.bias is not None:
            bias = layer.bias.astype(np.int64) << (SHIFT + spec.grid.spike_exp)
            z = z + bias[:, None, None]
        activation = np.maximum(z, 0) if layer.relu else z
        if layer.pool is not None:
            activation = layer.pool.apply_integers(activation)
        bound = np.maximum(layer.state_thresholds(spec.grid), 1 << layer.shift)[:, None, None]
        distance = np.abs(activation - (own << layer.shift))
        shares.append(float((distance / bound).max()))
        beyond.append(max(0, int((distance - (bound - 1)).max())))
    return Distance(max(shares), max(beyond))


def _whole(messages: Tensor, spec: Spec) -> NDArray[np.int64]:
    units = (messages / spec.grid.message_step).numpy()
    whole = np.rint(units)
    assert (whole == units).all()
    return np.asarray(whole, np.int64)


def _memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def main() -> int:
    """Print a row per block."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("network", nargs="?", choices=NETWORKS, default="small")
    arguments.add_argument("--frames", type=int, default=100_000)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    _print(f"{'frames':>8}{'us/frame':>10}{'MB':>8}{'messages':>10}{'of bound':>10}{'beyond':>8}\n")
    beyond = 0
    spec = NETWORKS[given.network]()
    for block in endure(spec, given.frames, max(_CHUNK, given.frames // 10)):
        beyond = max(beyond, block.distance.beyond)
        _print(
            f"{block.frames:>8}{block.us_per_frame:>10.0f}{block.memory_mb:>8.0f}"
            f"{block.messages:>10.0f}{block.distance.share:>10.3f}{block.distance.beyond:>8}\n"
        )
    return int(beyond > 0)


def _print(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
